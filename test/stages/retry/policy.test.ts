import t from 'tap'
import type { Result } from '../../../lib/core/results/result.ts'
import { isTransient } from '../../../lib/stages/retry/policy.ts'

for (const [status, type, passing] of [
  ['expired', 'expired', true],
  ['errored', 'api_error', true],
  ['errored', 'overloaded_error', true],
  ['errored', 'rate_limit_error', true],
  ['errored', 'timeout_error', true],
  ['errored', 'invalid_request_error', false],
  ['errored', 'billing_error', false],
  ['errored', undefined, false],
  ['canceled', 'canceled', false],
  ['refused', 'refusal', false],
  ['incomplete', 'incomplete', false],
  ['rejected', 'api_error', false],
  ['unanswered', 'unanswered', false],
  ['succeeded', undefined, false],
] as const) {
  void t.test(`${status} by ${type} is ${passing ? '' : 'not '}worth another try`, async t => {
    // The policy reads these two alone.
    const result = { status, error: type === undefined ? null : { type, message: '' } } as Result
    t.equal(isTransient(result), passing)
  })
}
