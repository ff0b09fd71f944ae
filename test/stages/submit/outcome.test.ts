import t from 'tap'
import type { Failure } from '../../../lib/api/failure.ts'
import { outcomeOf } from '../../../lib/stages/submit/outcome.ts'

function failure(kind: Failure['kind'], message = 'm'): Failure {
  return { kind, message, status: null, retryAfterMs: undefined, cause: undefined }
}

const table: readonly [Failure['kind'], before: string, after: string][] = [
  ['access', 'stop', 'stop'],
  ['redirect', 'stop', 'unknown'],
  ['notFound', 'stop', 'stop'],
  ['tooLarge', 'split', 'split'],
  ['busy', 'again', 'again'],
  ['refused', 'refused', 'refused'],
  ['network', 'again', 'unknown'],
  ['server', 'again', 'unknown'],
  ['malformed', 'again', 'unknown'],
]

for (const [kind, before, after] of table) {
  void t.test(`${kind}: ${before} without the last byte, ${after} with it`, async t => {
    t.equal(outcomeOf(failure(kind), false).kind, before)
    t.equal(outcomeOf(failure(kind), true).kind, after)
  })
}

void t.test('a refusal that names a request has its position', async t => {
  const said = 'the API answered 400: requests.17.params.max_tokens: must be positive'
  t.match(outcomeOf(failure('refused', said), true), {
    kind: 'reject',
    position: 17,
    failure: { message: said },
  })
})
