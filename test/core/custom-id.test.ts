import t from 'tap'
import { formatId, idPrefix, ordinalOf } from '../../lib/core/custom-id.ts'
import { CUSTOM_ID } from '../../lib/core/limits.ts'

void t.test('an id carries the ordinal and gives it back', async t => {
  for (const ordinal of [0, 1, 35, 36, 1_000_000, 2 ** 47]) {
    const id = formatId(idPrefix('abcdefghij', 3), ordinal)
    t.match(id, CUSTOM_ID)
    t.equal(ordinalOf(id, idPrefix('abcdefghij', 3)), ordinal)
  }
})

void t.test('an id of another run, another attempt or another form is none of ours', async t => {
  for (const id of [
    'other-1-5',
    'run-2-5',
    'run-1-',
    'run-1-05',
    'run-1-5x!',
    'run-1--5',
    'run-1-5 ',
    '',
    'run-1-ZZ',
  ])
    t.equal(ordinalOf(id, idPrefix('run', 1)), undefined, id)
})
