import { Readable } from 'node:stream'
import { aggregate, type AggregateOptions } from '../../../lib/stages/aggregate/aggregate.ts'
import { each, from } from '../../../lib/core/chain.ts'
import type { BatchRequest, SealedBatch } from '../../../lib/core/flow.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { ask } from '../../support/world.ts'

/** Gathers requests, repeats looked for unless the options say otherwise. */
export async function gathered(
  job: StoredJob,
  requests: readonly BatchRequest[],
  options: AggregateOptions = {},
): Promise<SealedBatch[]> {
  const batches: SealedBatch[] = []
  const stages = from(Readable.from(requests), aggregate({ job, dedupe: true, ...options }))
  for await (const batch of each(stages)) batches.push(batch)
  return batches
}

/** Gathers one request for each text. */
export async function aggregated(
  job: StoredJob,
  texts: readonly string[],
  options: AggregateOptions = {},
): Promise<SealedBatch[]> {
  return await gathered(
    job,
    texts.map(text => ask(text)),
    options,
  )
}
