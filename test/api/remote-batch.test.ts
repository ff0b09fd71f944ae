import t from 'tap'
import {
  createdId,
  remoteBatch,
  remotePage,
  resultsUrlOf,
  type RemoteBatch,
} from '../../lib/api/remote-batch.ts'

const batch: RemoteBatch = {
  id: 'msgbatch_1',
  processing_status: 'ended',
  request_counts: { processing: 0, succeeded: 1, errored: 0, canceled: 0, expired: 0 },
  created_at: '2026-11-20T12:00:00Z',
  ended_at: null,
  results_url: null,
}

void t.test('an answer that is a batch is one', async t => {
  t.equal(remoteBatch(batch), batch)
})

for (const wrong of [
  null,
  'x',
  {},
  { ...batch, id: 5 },
  { ...batch, request_counts: null },
  { ...batch, request_counts: { processing: 1 } },
  { ...batch, created_at: 'yesterday' },
  { ...batch, processing_status: 'done' },
]) {
  void t.test(`${JSON.stringify(wrong)} is no batch`, async t => {
    t.throws(() => remoteBatch(wrong), { message: /is not a batch|names the batch status done/ })
  })
}

void t.test('of a page, what is described as no batch is refused, or left out', async t => {
  const page = { data: [batch, { ...batch, processing_status: 'queued' }, 5], has_more: false }
  t.throws(() => remotePage(page, 'refused'), { message: /batch status queued/ })
  t.match(remotePage(page, 'left out'), { data: [batch], has_more: false })
  t.equal(remotePage(page, 'left out').data.length, 1)
})

for (const [name, results_url, wanted] of [
  ['where it says', 'https://x.example/r', 'https://x.example/r'],
  ['at a path', '/v1/r', '/v1/r'],
  ['at no address', 'http://', 'https://api.anthropic.com/v1/messages/batches/msgbatch_1/results'],
  ['nowhere', null, 'https://api.anthropic.com/v1/messages/batches/msgbatch_1/results'],
] as const) {
  void t.test(`results of a batch that says they lie ${name}`, async t => {
    t.equal(resultsUrlOf({ ...batch, results_url }), wanted)
  })
}

for (const [name, answer, id] of [
  ['a batch', { ...batch, type: 'message_batch' }, 'msgbatch_1'],
  ['a batch without its type', batch, 'msgbatch_1'],
  ['a batch without its counts', { type: 'message_batch', id: 'a' }, 'a'],
  ['a batch without an id', { ...batch, id: undefined }, undefined],
  ['a batch whose id is empty', { ...batch, id: '' }, undefined],
  ['what a queue answers', { id: 'job-17', status: 'queued' }, undefined],
  ['nothing', null, undefined],
  ['a text', 'msgbatch_1', undefined],
] as const) {
  void t.test(`a create that is answered by ${name}`, async t => {
    t.equal(createdId(answer), id)
  })
}
