import { wholeNumber, wrongOption } from '../core/errors.ts'
import { CUSTOM_ID, DEFAULT_MODEL, MAX_REQUESTS } from '../core/limits.ts'
import type { Batch } from './batches.ts'
import { DEFAULT_WORKSPACE, type Service } from './service.ts'

/** A batch of another tool in the same workspace. The ledger leaves it out. */
export interface ForeignBatch {
  /**
   * Number of requests.
   * @default the number of `customIds`, else 1
   */
  readonly requests?: number
  /**
   * Age in milliseconds; a negative age makes it appear later.
   * @default 0
   */
  readonly createdAgoMs?: number
  /** Milliseconds from creation to end. Omit it for a batch that has ended; `forever` is a batch that never ends. */
  readonly batchTimeMs?: number | 'forever'
  /**
   * The custom_ids of its requests.
   * @default foreign-0, foreign-1 and so on
   */
  readonly customIds?: readonly string[]
  /**
   * Its workspace.
   * @default the workspace of all keys without the `keys` option
   */
  readonly workspace?: string
  /** All requests expire, or those at these positions, from 0. */
  readonly expire?: true | readonly number[]
}

/** Checks a foreign batch; `name` is the option that contains it. */
export function checkForeign(name: string, foreign: ForeignBatch): void {
  const { requests = 1, customIds } = foreign
  wholeNumber(`${name}.requests`, requests, 1, MAX_REQUESTS)
  for (const id of customIds ?? []) {
    if (!CUSTOM_ID.test(id))
      throw wrongOption(`${name}.customIds`, `a list of ids of the form ${CUSTOM_ID.source}`, id)
  }
}

/** Adds such a batch and returns its id. */
export async function addForeign(service: Service, foreign: ForeignBatch): Promise<string> {
  const {
    customIds = [],
    createdAgoMs = 0,
    batchTimeMs = 0,
    workspace = DEFAULT_WORKSPACE,
    expire,
  } = foreign
  const requests = foreign.requests ?? Math.max(1, customIds.length)
  const writer = await service.spool.create()
  let bytes = 0
  for (let i = 0; i < requests; i++) {
    const messages = [{ role: 'user', content: `question ${i} of another tool` }]
    const params = { model: DEFAULT_MODEL, max_tokens: 64, messages }
    const item = Buffer.from(JSON.stringify({ custom_id: customIds[i] ?? `foreign-${i}`, params }))
    bytes += item.length + 1
    await writer.add(item)
  }
  const batch: Batch = {
    id: service.ids.make('msgbatch'),
    number: 0,
    workspace,
    version: '2026-10-21',
    betas: '',
    userProfile: null,
    requests,
    bytes,
    createdAt: service.now() - createdAgoMs,
    batchTimeMs: batchTimeMs === 'forever' ? Infinity : batchTimeMs,
    cancelTimeMs: service.settings.cancelTimeMs,
    fault: expire === undefined ? {} : { expire },
    spool: await writer.end(),
    cancelAt: null,
    deletedAt: null,
    settled: undefined,
  }
  service.batches.push(batch)
  return batch.id
}
