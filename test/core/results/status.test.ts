import t from 'tap'
import { STATUSES, statusOfStop, statusOfType } from '../../../lib/core/results/status.ts'

for (const [type, stop, status] of [
  ['succeeded', 'end_turn', 'succeeded'],
  ['succeeded', 'tool_use', 'succeeded'],
  ['succeeded', null, 'succeeded'],
  ['succeeded', 'max_tokens', 'incomplete'],
  ['succeeded', 'model_context_window_exceeded', 'incomplete'],
  ['succeeded', 'pause_turn', 'incomplete'],
  ['succeeded', 'compaction', 'incomplete'],
  ['succeeded', 'refusal', 'refused'],
  ['errored', null, 'errored'],
  ['expired', null, 'expired'],
  ['canceled', null, 'canceled'],
  ['something_new', null, 'errored'],
  ['', null, 'errored'],
] as const) {
  void t.test(`${type} with ${stop} is ${status}`, async t => {
    t.equal(statusOfType(type, stop), status)
    if (type === 'succeeded') t.equal(statusOfStop(stop), status)
    t.ok(STATUSES.includes(status))
  })
}
