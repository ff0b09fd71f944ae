import t from 'tap'
import { formatId, idPrefix, ordinalIn, ordinalOf } from '../../lib/core/custom-id.ts'
import { CUSTOM_ID } from '../../lib/core/limits.ts'

void t.test('an id encodes the ordinal', async t => {
  for (const ordinal of [0, 1, 35, 36, 1_000_000, 2 ** 47]) {
    const id = formatId(idPrefix('abcdefghij', 3), ordinal)
    t.match(id, CUSTOM_ID)
    t.equal(ordinalOf(id, idPrefix('abcdefghij', 3)), ordinal)
  }
})

void t.test('an id of another run, attempt or form has no ordinal', async t => {
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

void t.test('an id in bytes gives the same ordinal, and -1 where it is not one', async t => {
  const prefix = idPrefix('run', 1)
  for (const id of ['run-1-0', 'run-1-5', 'run-1-zz', 'run-1-a0b9', 'run-1-zzzzzzzzz']) {
    const bytes = Buffer.from(`"${id}"`)
    const found = ordinalIn(bytes, 1, bytes.length - 1, Buffer.from(prefix))
    t.equal(found, ordinalOf(id, prefix), id)
  }
  for (const id of [
    'run-2-5',
    'run-1-',
    'run-1-05',
    'run-1-Z',
    'run-1-5!',
    'run-1-5{',
    'run-1-00000000000',
    'run-1-12345678901',
  ]) {
    const bytes = Buffer.from(id)
    t.equal(ordinalIn(bytes, 0, bytes.length, Buffer.from(prefix)), -1, id)
  }
})
