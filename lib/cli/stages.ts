import { nextUnbatched } from '../core/job/state.ts'
import type Anthropic from '@anthropic-ai/sdk'
import { pathToFileURL } from 'node:url'
import { aggregate } from '../stages/aggregate/aggregate.ts'
import { awaitEnd } from '../stages/await/await-end.ts'
import { chain } from '../core/chain.ts'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import type { SealedBatch, SourceRecord } from '../core/flow.ts'
import { inspectJobs } from '../store/inspect.ts'
import type { StoredJob } from '../store/job.ts'
import type { Cap } from '../run/cap.ts'
import { counted } from '../cost/count.ts'
import type { Ledger } from '../cost/ledger.ts'
import { inputOrder } from '../stages/order/input-order.ts'
import { rowsInOrder } from '../stages/order/rows-in-order.ts'
import { fetchResults } from '../stages/results/fetch-results.ts'
import type { Result } from '../core/results/result.ts'
import { MOST_TRIES, retry } from '../stages/retry/retry.ts'
import { attachedFile } from '../stages/parse/files.ts'
import type { Stage } from '../core/stage.ts'
import type { Canary } from '../run/canary.ts'
import { submit } from '../stages/submit/submit.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { attachFiles, type AttachOptions } from '../stages/template/attach.ts'
import { template } from '../stages/template/template.ts'
import type { Flags } from './flags.ts'
import { firstBatch } from './first-batch.ts'
import { fitsTable } from './fits-table.ts'
import { guard } from './guard.ts'
import { waitsAt } from './free-call.ts'
import { preflight } from './preflight.ts'
import { hashOfModule, type Settings } from './settings.ts'
import type { TableColumns } from './table-columns.ts'
import type { Talk } from './talk.ts'
import { canaryFailed, capReached, untilStopped } from './drain.ts'
import { duration, whole, wrongFlag } from './values.ts'

/** How a run waits; not kept with the job. */
export interface Pace {
  readonly concurrency: number
  readonly pollMs: number | undefined
  readonly settleMs: number
  readonly preflight: boolean
}

export function paceOf(flags: Flags): Pace {
  const poll = flags.text('poll')
  const settle = flags.text('settle')
  const concurrency = flags.text('concurrency')
  return {
    concurrency: concurrency === undefined ? 10 : concurrencyIn(concurrency),
    pollMs: poll === undefined ? undefined : duration('--poll', poll, 1),
    settleMs: settle === undefined ? 600_000 : duration('--settle', settle),
    preflight: !flags.has('no-preflight'),
  }
}

/** With `auto` nothing but the API's own no holds back the next batch. */
function concurrencyIn(text: string): number {
  if (text === 'auto') return Number.MAX_SAFE_INTEGER
  if (/^\d+$/.test(text)) return whole('--concurrency', text, 1)
  throw wrongFlag('--concurrency', 'a whole number of at least 1, or auto', text)
}

/** All that the stages of a run are made from. */
export interface Work {
  readonly settings: Settings
  readonly pace: Pace
  readonly job: StoredJob
  readonly client: Anthropic
  readonly talk: Talk
  readonly stateDir: string
  readonly template: TemplateOptions
  /** Do rows come in the order of their records? */
  readonly ordered: boolean
  /** The columns of the table that rows go to; undefined where they go to none, and where the user chose the columns. */
  readonly table: TableColumns | undefined
  /** Whether a first batch that fails as a whole ends the run; not where somebody chose to go on. */
  readonly wary?: boolean
  /** Which failures are asked again; by default those that say nothing about the request. */
  readonly ask?: (result: Result) => boolean
  /** What it may cost at most. */
  readonly cap?: Cap | undefined
  /** What holds it back until its first records are answered. */
  readonly canary?: Canary | undefined
  /** The books that every answer is entered into. */
  readonly ledger: Ledger
  /** Told when the API's queue takes no more for now. */
  readonly onBusy?: () => void
}

/** What the flags say of the template, the user's module loaded. */
export async function templateOptions(settings: Settings, talk: Talk): Promise<TemplateOptions> {
  const { prompt, system, model, maxTokens, params, id, vars, responseField, metaField } = settings
  const { askFailed } = settings
  return {
    prompt: settings.template === undefined ? prompt : await promptFrom(settings, talk),
    ...{ system, model, maxTokens, params, id, vars, responseField, metaField, askFailed },
    ready: settings.from === 'requests',
    schema: settings.schema,
    cache: settings.cache !== undefined,
    ...attachments(settings),
  }
}

/** Images and PDFs of `--from files` attach themselves. */
function attachments({ attach = [], from, filesDir }: Settings): AttachOptions {
  if (filesDir === undefined) return {}
  return { attach: from === 'files' ? [...attach, attachedFile] : attach, attachDir: filesDir }
}

async function promptFrom(
  { template: path = '', templateHash }: Settings,
  talk: Talk,
): Promise<NonNullable<TemplateOptions['prompt']>> {
  const hash = await hashOfModule(path)
  if (hash !== templateHash)
    talk.say(
      `--template ${path} has changed since the job was made: what is not sent yet is asked as it says now`,
    )
  // The text is in the address too, so that a process never runs an older one.
  const address = `${pathToFileURL(path).href}?${hash}`
  const module: { default?: unknown } = await import(address).catch((cause: unknown) => {
    throw wrapError('CBS_OPTION', `--template ${path} cannot be loaded`, cause)
  })
  if (typeof module.default !== 'function') {
    throw new BatchStreamError(
      'CBS_OPTION',
      `--template ${path} must \`export default fields => text or params\``,
    )
  }
  // What it gives is checked at each record.
  return module.default as NonNullable<TemplateOptions['prompt']>
}

/** From records to batches that the API has. */
export function submitting(
  work: Work,
  attempt: number,
): Stage<SourceRecord, ReturnType<StoredJob['submittedBatch']>> {
  const { settings, job, talk, pace, client, cap, canary } = work
  const { batchSize: count, batchBytes: bytes, batchWaitMs: periodMs, maxInvalid } = settings
  const { dedupe } = settings
  const { attach, ...plain } = work.template
  const { responseField, metaField } = settings
  const before = nextUnbatched(job.state)
  const fitting = work.table
    ? chain(template(plain), fitsTable(work.table, [responseField, metaField]))
    : template(plain)
  const asked =
    attempt === 1 ? chain(fitting, guard({ job, maxInvalid, before })) : template(work.template)
  const proven =
    // A job with a workspace has been answered before: its key is proven, and another workspace's must not be tried.
    pace.preflight && attempt === 1 && job.state.workspace === null
      ? chain(
          asked,
          preflight({
            ...{ client, job, onWait: waitsAt(talk) },
            onSkip: why => talk.detail(`preflight skipped: ${why}`),
            onWarn: warning => talk.say(warning),
          }),
        )
      : asked
  const wanted = chain(untilStopped(job, canary), proven)
  const onWait = waits(work)
  const gathered = aggregate({
    // The job's card holds its settings, and what may change of them.
    compareTemplate: false,
    ...{ job, count, bytes, attempt },
    dedupe: dedupe ?? false,
    prime: settings.cache === 'prime',
    ...(periodMs !== undefined && { periodMs }),
    ...(attempt === 1 && settings.canary !== undefined && { canary: settings.canary }),
  })
  const sent = submit({
    client,
    job,
    concurrency: pace.concurrency,
    settleMs: pace.settleMs,
    onWait,
    ...(work.onBusy && { onBusy: work.onBusy }),
    admit: async (batch, signal) => {
      if ((await canary?.admit(batch, signal)) === false) {
        if (canary?.stopped !== undefined) job.queue.stop(canaryFailed())
        return false
      }
      if ((await cap?.admit(batch, signal)) !== false) return true
      if (cap?.stopped !== undefined) job.queue.stop(capReached(cap.stopped))
      canary?.giveUp()
      return false
    },
    ownedElsewhere: () => ownedElsewhere(work),
  })
  if (attempt > 1 || attach === undefined) return chain(wanted, gathered, sent)
  // Files are read last, and in one chain with what gathers them, so that large requests wait on disk and not in streams.
  return chain(
    wanted,
    attachFiles(work.template),
    guard({ job, maxInvalid, before, highWaterMark: 1 }),
    gathered,
    sent,
  )
}

/** From records to the answer of each, failures asked again. */
export function asking(work: Work): Stage<SourceRecord, Result> {
  const { settings, job } = work
  const through = (attempt: number): Stage<SourceRecord, Result> =>
    chain(submitting(work, attempt), fetching(work), counted(work.ledger))
  const first = work.wary && !work.canary ? chain(through(1), firstBatch(job)) : through(1)
  const answered = chain(
    first,
    retry({
      ...{ job, attempts: settings.retries, through },
      // `retry JOB` bounds its tries by itself: a job may have had any number of them before.
      ...(work.ask && { ask: work.ask, attempts: MOST_TRIES }),
      longer: work.template.mostTokens === undefined ? undefined : work.template,
    }),
  )
  return work.ordered ? chain(answered, rowsInOrder({ job, schema: settings.schema })) : answered
}

/** From batches that the API has to their results. */
export function fetching(work: Work): Stage<ReturnType<StoredJob['submittedBatch']>, Result> {
  const { client, job, pace, ordered } = work
  const { pollMs, settleMs } = pace
  const onWait = waits(work)
  const ended = awaitEnd({ client, job, pollMs, settleMs, onWait })
  const { schema, dedupe } = work.settings
  const results = fetchResults({ client, job, settleMs, schema, onWait })
  // A record that repeats an earlier one shares its answer, which therefore has to be here first.
  return ordered || dedupe ? chain(ended, inputOrder(), results) : chain(ended, results)
}

function waits({ talk, job }: Work): (batch: Pick<SealedBatch, 'number'>, why: string) => void {
  return ({ number }, why) => {
    job.tell({ type: 'waiting', number, why })
    talk.wait(`batch ${number} waits: ${why}`, job.clock.elapsed())
  }
}

/** Ids that other jobs of this machine own: none of them can be a batch of this one. */
async function ownedElsewhere({ job, stateDir }: Work): Promise<ReadonlySet<string>> {
  const ids = new Set<string>()
  for (const other of await inspectJobs(job.store.disk, stateDir)) {
    if (other.name === job.name) continue
    for (const { id } of other.state?.batches.values() ?? []) if (id !== null) ids.add(id)
  }
  return ids
}
