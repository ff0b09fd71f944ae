import t from 'tap'
import type { BatchListPage, RemoteBatch } from '../../../lib/api/remote-batch.ts'
import { listFrom, type Listing } from '../../../lib/stages/search/listing.ts'

/** Batches that were created a second apart, newest first. */
const batches = Array.from({ length: 60 }, (_, i): RemoteBatch => ({
  id: `msgbatch_${i}`,
  processing_status: 'ended',
  request_counts: { processing: 0, succeeded: 1, errored: 0, canceled: 0, expired: 0 },
  created_at: new Date(1_000_000 - i * 1000).toISOString(),
  ended_at: null,
  archived_at: null,
  expires_at: null,
  cancel_initiated_at: null,
  results_url: null,
}))

/** Before the oldest of them. */
const LONG_AGO = 0

function pageOf(after: string | undefined, size: number): BatchListPage {
  const start = batches.findIndex(({ id }) => id === after) + 1
  const data = batches.slice(start, start + size)
  const has_more = start + size < batches.length
  return { data, has_more, last_id: data.at(-1)?.id ?? null }
}

async function listed(
  from: number,
  pageAfter: (after: string | undefined) => BatchListPage | undefined,
): Promise<{ listing: Listing | undefined; calls: number }> {
  let calls = 0
  const listing = await listFrom(from, async after => {
    calls += 1
    return pageAfter(after)
  })
  return { listing, calls }
}

void t.test('pages are read until they are back at the time', async t => {
  const { listing, calls } = await listed(1_000_000 - 25_500, after => pageOf(after, 20))
  t.same([listing?.batches.length, listing?.end, calls], [40, 'complete', 2])
})

void t.test('a list that calls itself complete before that is asked for the rest', async t => {
  for (const hasLastId of [true, false]) {
    const { listing } = await listed(LONG_AGO, after => {
      const page = pageOf(after, 20)
      return { ...page, has_more: false, last_id: hasLastId ? page.last_id : '' }
    })
    t.same(listing, { batches, end: 'complete' })
  }
})

void t.test('a list that begins again after its end is not complete', async t => {
  for (const has_more of [true, false]) {
    const { listing, calls } = await listed(LONG_AGO, () => ({
      ...pageOf(undefined, 20),
      has_more,
    }))
    const end = has_more ? 'endless' : 'unproven'
    t.same([listing, calls], [{ batches: batches.slice(0, 20), end }, 2])
  }
})

void t.test('nor is one that refuses to say what follows its last entry', async t => {
  const { listing } = await listed(LONG_AGO, after =>
    after === undefined ? { ...pageOf(undefined, 20), has_more: false } : undefined,
  )
  t.same(listing, { batches: batches.slice(0, 20), end: 'unproven' })
})

void t.test('a workspace without batches, and one without a list', async t => {
  const none = { data: [], has_more: false, last_id: null }
  t.same((await listed(LONG_AGO, () => none)).listing, { batches: [], end: 'complete' })
  t.equal((await listed(LONG_AGO, () => undefined)).listing, undefined)
})
