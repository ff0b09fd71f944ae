// Joins stages into a run. The library's runBatches and the program's commands both use it.
import type { AnthropicClient } from '../api/client.ts'
import { chain } from '../core/chain.ts'
import type { SourceRecord, SubmittedBatch, TemplateOutput } from '../core/flow.ts'
import { nextUnbatched } from '../core/job/state.ts'
import type { Result } from '../core/results/result.ts'
import type { AnswerSchema } from '../core/schema/answer-schema.ts'
import type { Stage } from '../core/stage.ts'
import { counted } from '../cost/count.ts'
import type { CostLedger } from '../cost/ledger.ts'
import { aggregateReusing, type Reuse } from '../stages/aggregate/aggregate.ts'
import { awaitEnd } from '../stages/await/await-end.ts'
import { rowsInOrder } from '../stages/order/rows-in-order.ts'
import { fetchResults } from '../stages/results/fetch-results.ts'
import { retry } from '../stages/retry/retry.ts'
import { submit } from '../stages/submit/submit.ts'
import { attachFiles } from '../stages/template/attach.ts'
import { template, type TemplateOptions } from '../stages/template/template.ts'
import { ownedIds } from '../store/sendable.ts'
import { eachJob, jobNames } from '../store/inspect.ts'
import type { StoredJob } from '../store/job.ts'
import type { Canary } from './canary.ts'
import type { Cap } from './cap.ts'
import { canaryFailed, capReached, untilStopped } from './drain.ts'
import { firstBatch } from './first-batch.ts'
import { guard, type MaxInvalid } from './guard.ts'

/** The parts from which a run is assembled. Times are in ms. */
export interface RunParts {
  readonly job: StoredJob
  readonly client: AnthropicClient
  readonly template: TemplateOptions
  readonly batchSize: number
  readonly batchBytes: number
  readonly batchWait: number | undefined
  readonly batchAge: number | undefined
  readonly maxInvalid: MaxInvalid
  readonly dedupe: boolean
  /** Where answers of earlier jobs come from. */
  readonly reuse?: Reuse | undefined
  readonly prime: boolean
  /** Holds the job back until its first records are answered. */
  readonly canary: Canary | undefined
  readonly canarySize: number | undefined
  readonly concurrency: number
  readonly poll: number | undefined
  readonly settle: number
  /** The user's decisions about candidates whose ids were chosen. */
  readonly adopt: readonly string[] | undefined
  readonly retries: number
  /** Which failures are retried; by default those that say nothing about the request. */
  readonly shouldRetry: ((result: Result) => boolean) | undefined
  readonly schema: AnswerSchema | undefined
  /** Whether results come in the order of their records. */
  readonly ordered: boolean
  /** Whether a first batch whose requests all fail alike stops submission. */
  readonly stopOnUniformFailure: boolean
  /** Whether nothing more is sent: what the API does not have becomes `rejected` rows. */
  readonly abandon: boolean
  readonly compareTemplate: boolean
  /** Records the cost of every answer. */
  readonly ledger: CostLedger
  readonly cap: Cap | undefined
  /** Makes a stage that sees each request of a first attempt before invalid records are counted. */
  readonly fit: (() => Stage<TemplateOutput, TemplateOutput>) | undefined
  /** Makes a stage that checks the first request before anything is sent. */
  readonly preflight: (() => Stage<TemplateOutput, TemplateOutput>) | undefined
  readonly onWait: ((number: number, why: string) => void) | undefined
  /** Called when the API's queue is full. */
  readonly onBusy: (() => void) | undefined
  /** The folder that holds this job and others; undefined for a temporary job. */
  readonly stateDir: string | undefined
}

/** From records to batches that the API has accepted. */
export function submitRecords(
  parts: RunParts,
  attempt: number,
): Stage<SourceRecord, SubmittedBatch> {
  const { job, client, cap, canary, maxInvalid, canarySize, batchWait, fit } = parts
  const { attach, ...plain } = parts.template
  const isFirst = attempt === 1
  const before = nextUnbatched(job.state)
  const checked = isFirst
    ? chain(
        fit ? chain(template(plain), fit()) : template(plain),
        guard({ job, maxInvalid, before }),
      )
    : template(parts.template)
  // A job with a workspace has had a reply: its key is valid, and a key of another workspace must not be tried.
  const preflight = isFirst && job.state.workspace === null ? parts.preflight?.() : undefined
  const wanted = chain(untilStopped(job, canary), preflight ? chain(checked, preflight) : checked)
  const gathered = aggregateReusing({
    compareTemplate: parts.compareTemplate,
    ...{ job, batchSize: parts.batchSize, batchBytes: parts.batchBytes, attempt },
    dedupe: parts.dedupe,
    reuse: parts.reuse,
    prime: parts.prime,
    ...(batchWait !== undefined && { batchWait }),
    ...(parts.batchAge !== undefined && { batchAge: parts.batchAge }),
    ...(isFirst && canarySize !== undefined && { canary: canarySize }),
  })
  const sent = submit({
    client,
    concurrency: parts.concurrency,
    settle: parts.settle,
    adopt: parts.adopt,
    abandon: parts.abandon,
    onWait: waiting(parts),
    ...(parts.onBusy && { onBusy: parts.onBusy }),
    approve: async (batch, signal) => {
      if ((await canary?.approve(batch, signal)) === false) {
        if (canary?.stopped !== undefined) job.queue.stop(canaryFailed())
        return false
      }
      if ((await cap?.approve(batch, signal)) !== false) return true
      if (cap?.stopped !== undefined) job.queue.stop(capReached(cap.stopped))
      return false
    },
    ownedElsewhere: () => ownedElsewhere(parts),
  })
  if (!isFirst || attach === undefined) return chain(wanted, gathered, sent)
  // Attachments are read last, in one chain with the aggregator, so that large requests wait on disk and not in streams.
  return chain(
    wanted,
    attachFiles(parts.template),
    guard({ job, maxInvalid, before, highWaterMark: 1 }),
    gathered,
    sent,
  )
}

/** From records to an answer for each, including retries. */
export function answerRecords(parts: RunParts): Stage<SourceRecord, Result> {
  const { job, shouldRetry, canary } = parts
  const createPipeline = (attempt: number): Stage<SourceRecord, Result> =>
    chain(submitRecords(parts, attempt), fetchBatches(parts), counted(parts.ledger))
  const first =
    parts.stopOnUniformFailure && !canary
      ? chain(createPipeline(1), firstBatch(job))
      : createPipeline(1)
  const answered = chain(
    first,
    retry({
      ...{ job, retries: parts.retries, createPipeline },
      ...(shouldRetry && { shouldRetry }),
      growMaxTokens: parts.template.maxTokensLimit === undefined ? undefined : parts.template,
    }),
  )
  return parts.ordered ? chain(answered, rowsInOrder({ job, schema: parts.schema })) : answered
}

/** From submitted batches to their results. */
function fetchBatches(parts: RunParts): Stage<SubmittedBatch, Result> {
  const { client, job, poll, settle, schema } = parts
  const onWait = waiting(parts)
  const elsewhere = (): Promise<ReadonlySet<string>> => ownedElsewhere(parts)
  const ended = awaitEnd({
    ...{ client, job, poll, settle, onWait, adopt: parts.adopt },
    ownedElsewhere: elsewhere,
  })
  // A repeated record shares the answer of an earlier one, which must therefore come first.
  const inOrder = parts.ordered || parts.dedupe
  const results = fetchResults({
    ...{ client, job, settle, schema, onWait, ownedElsewhere: elsewhere, adopt: parts.adopt },
    emits: inOrder ? 'input' : 'fetched',
  })
  return chain(ended, results)
}

function waiting({
  job,
  onWait,
}: RunParts): (batch: { readonly number: number }, why: string) => void {
  return ({ number }, why) => {
    job.emit({ type: 'waiting', number, why })
    onWait?.(number, why)
  }
}

/** Batch ids of other jobs on this machine, which cannot belong to this job. */
async function ownedElsewhere({ job, stateDir }: RunParts): Promise<ReadonlySet<string>> {
  const ids = new Set<string>()
  if (stateDir === undefined) return ids
  const { disk } = job.store
  const others = (await jobNames(disk, stateDir)).filter(name => name !== job.name)
  for await (const { state } of eachJob(disk, stateDir, others))
    for (const id of state ? ownedIds(state) : []) ids.add(id)
  return ids
}
