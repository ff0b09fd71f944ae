import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { StoredJob } from '../../store/job.ts'
import { openFound, restoreAnswers, restoreRecords } from '../ledger.ts'
import type { Result } from '../../core/results/result.ts'
import { isUnsent } from '../../core/results/status.ts'
import { stage } from '../../core/stage.ts'
import { clientOf } from '../client.ts'
import type { Context } from '../context.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { EXIT } from '../exit-code.ts'
import { failedEnding, reportTally, undecidedIn, type Ending } from '../finish.ts'
import { jobNamed, rememberedBy } from '../remembered.ts'
import { follow } from '../progress/follow.ts'
import { openRows, tableFieldsOf } from '../open-rows.ts'
import { rowOptionsApart } from '../row-options.ts'
import { withLimits } from '../model-limits.ts'
import { endIfStopped, runDraining } from '../drain.ts'
import { freeCall } from '../free-call.ts'
import { asking, checkDecisions, paceOf, templateOptions, type Pace, type Work } from '../stages.ts'
import { stateDir } from '../state-dir.ts'
import type { Talk } from '../talk.ts'
import { RowTally } from '../tally.ts'
import { CostLedger } from '../../cost/ledger.ts'
import { capFlags, capFor, mustHavePrice, pricesOf, tellCost } from '../money.ts'
import { endIn } from '../job-end/end-options.ts'
import { tellingEnd } from '../job-end/tell-end.ts'
import { moneyIn } from '../settings.ts'
import { rowsOfShard } from '../shards.ts'
import type { AnthropicClient } from '../../api/client.ts'
import { lacksAnswers } from '../../core/job/state.ts'
import { completeResults } from '../../stages/results/fetch-results.ts'
import { nodeDisk } from '../../store/disk.ts'
import { inspectJob, type JobCard, type JobOnDisk } from '../../store/inspect.ts'
import { OrdinalSet } from '../../store/ordinal-set.ts'
import { freeName } from '../../stages/write/target.ts'
import { eachKeptAnswer } from '../../store/results/stored-answers.ts'
import { counted } from '../shown.ts'
import { writeCard } from '../run-job.ts'

/** Retries the failed rows of a finished job, once each, and prints their new rows. */
export async function retryFailed(context: Context): Promise<Ending> {
  const { flags, io, talk, signal } = context
  const dir = stateDir(flags, io.env)
  const found = await jobNamed(dir, flags.args[0])
  const { run, rows, columns: known, concurrency } = rememberedBy(found)
  const retryIncomplete = flags.has('retry-incomplete') || run.retryIncomplete
  const settings = {
    ...run,
    ...moneyIn(flags),
    ...endIn(flags),
    ...(retryIncomplete && { retryIncomplete }),
  }
  mustHavePrice(settings)
  const options = rowsOfShard(rowOptionsApart(flags, rows), run.shard)
  const pace = { ...paceOf(flags, concurrency), preflight: false }
  if (!found.state?.finished) {
    throw new BatchStreamError(
      'CBS_OPTION',
      `job ${found.name} is not finished: run \`claude-batch-stream resume ${found.name}\` first`,
    )
  }
  const template = await templateOptions(settings, talk)
  const client = await clientOf(flags, io, { job: settings, talk })
  const next = { words: ['retry', found.name, ...context.placeFlags] }
  context.nextIs(() => next)
  const job = await openFound(context, dir, found)
  return await tellingEnd(context, { settings, job }, async () => {
    checkDecisions(job, pace, talk)
    await restoreRecords(context, job, found)
    await restoreAnswers(context, job, client)
    const { after: last, unanswered } = await beginRetry(dir, job)
    await completeAnswers(context, job, client, { unanswered, ...pace })
    const isOld = (result: Result): boolean => result.batch.number <= last
    const old = new RowTally()
    const cap = capFor(context, job, settings, true)
    context.nextIs(() => ({
      words: ['retry', found.name, ...capFlags(cap), ...context.placeFlags],
      ...undecidedIn(job),
    }))
    const ledger = new CostLedger(pricesOf(settings))
    const ordered = options.order === 'input'
    const work: Work = {
      ...{ settings, pace, job, client, talk, ordered, table: undefined, ledger, cap },
      stateDir: dir,
      template: await withLimits(template, settings, client, freeCall(context)),
      ask: result => isOld(result) && canBeRetried(result),
    }
    follow(context, work)
    const tally = new RowTally()
    const priceOf = pricesOf(settings)
    const columns = await tableFieldsOf(job, options, known)
    const parts = {
      job,
      options,
      columns,
      schema: settings.schema,
      priceOf,
      detached: true,
      signal,
    }
    const files = [options.output, options.errors].flatMap(file =>
      file === undefined || file === '-' ? [] : [resolve(file)],
    )
    await setAside(dir, job, files, talk)
    await noteFiles(dir, job, files)
    const out = await openRows(parts, io, talk, one => tally.add(one, one.record?.ordinal))
    const onlyNew = stage((result: Result) => {
      if (!isOld(result)) return result
      old.add(result)
      const ordinal = result.record?.ordinal
      const isFound =
        result.status !== 'unanswered' && ordinal !== undefined && unanswered.has(ordinal)
      return isFound ? result : undefined
    })
    await runDraining(work, signal, signal =>
      pipeline(job.input.unbatchedRecords(), asking(work), onlyNew, out, { signal }),
    )
    await endIfStopped(work, tally)
    await endRetry(dir, job)
    await reportRetry(context, job, tally, old)
    tellCost(talk, work)
    if (tally.failed > 0) return failedEnding(job, tally, context.placeFlags)
    return { code: rejectedIn(old) === 0 ? EXIT.answered : EXIT.someFailed }
  })
}

/** Whether a retry can help; a record that could not be read or rendered fails the same way again. */
function canBeRetried({ status }: Result): boolean {
  return status !== 'succeeded' && !isUnsent(status)
}

async function reportRetry(
  { talk }: Context,
  job: StoredJob,
  asked: RowTally,
  old: RowTally,
): Promise<void> {
  const rejected = rejectedIn(old)
  const rest = rejected === 0 ? '' : `; ${rejected} rejected rows cannot be retried`
  if (asked.rows === 0) talk.info(`job ${job.name}: there is nothing to retry${rest}`)
  else await reportTally(job, asked, talk, ` (retried)${rest}`)
}

function rejectedIn(rows: RowTally): number {
  return rows.byStatus().rejected ?? 0
}

/** Where the retry of a job began, or begins. */
interface Retry {
  readonly after: number
  readonly unanswered: OrdinalSet
}

/** Stores where a retry began until it is finished, so that an interrupted retry resumes and prints the same rows again. */
async function beginRetry(dir: string, job: StoredJob): Promise<Retry> {
  const card = await cardOf(dir, job)
  const { retry } = card
  if (retry) return { after: retry.after, unanswered: setOf(retry.unanswered) }
  const after = Math.max(0, ...job.state.batches.keys())
  const unanswered = await unansweredIn(job)
  await writeCard(job, { ...card, retry: { after, unanswered: [...unanswered] } })
  return { after, unanswered }
}

/**
 * Moves the files that an interrupted try of this retry has begun: their rows are written again. They may have been changed since, so they
 * are kept.
 */
async function setAside(
  dir: string,
  job: StoredJob,
  files: readonly string[],
  talk: Talk,
): Promise<void> {
  const { disk } = job.store
  const { retry } = await cardOf(dir, job)
  for (const path of files) {
    if (!retry?.files?.includes(path) || typeof (await disk.stat(path)) !== 'number') continue
    const aside = await freeName(disk, path)
    await disk.rename(path, aside)
    talk.warn(
      `${path} is from an earlier try of this retry, whose rows are written again: it is now ${aside}`,
    )
  }
}

/** Notes which files this retry creates. One that exists is not its own, and is refused later. */
async function noteFiles(dir: string, job: StoredJob, files: readonly string[]): Promise<void> {
  const card = await cardOf(dir, job)
  const known = card.retry?.files ?? []
  const areNew = await Promise.all(
    files.map(async path => (await job.store.disk.stat(path)) === undefined),
  )
  const all = [...new Set([...known, ...files.filter((_, i) => areNew[i])])]
  if (card.retry && all.length > known.length)
    await writeCard(job, { ...card, retry: { ...card.retry, files: all } })
}

async function endRetry(dir: string, job: StoredJob): Promise<void> {
  const { retry: _, ...card } = await cardOf(dir, job)
  await writeCard(job, card)
}

/** The card as it is now: another process may have changed it before this one locked the job. */
async function cardOf(dir: string, { name }: StoredJob): Promise<JobCard> {
  // A job that is open exists.
  const found = (await inspectJob(nodeDisk, dir, name)) as JobOnDisk
  // Throws if there is no card.
  rememberedBy(found)
  return found.card as JobCard
}

function setOf(ordinals: readonly number[]): OrdinalSet {
  const set = new OrdinalSet()
  for (const ordinal of ordinals) set.add(ordinal)
  return set
}

/** The records whose newest row is `unanswered`. */
async function unansweredIn({ state, store }: StoredJob): Promise<OrdinalSet> {
  const found = new OrdinalSet()
  if (lacksAnswers(state))
    await eachKeptAnswer({ folder: store.folder, state }, undefined, ({ status }, kept) => {
      if (status === 'unanswered' && kept.isLast) found.add(kept.ordinal)
    })
  return found
}

/** Downloads the results that lack answers once more: what is found need not be paid for again. */
async function completeAnswers(
  { talk, signal }: Context,
  job: StoredJob,
  client: AnthropicClient,
  { unanswered, settleMs, adopt }: Pick<Retry, 'unanswered'> & Pick<Pace, 'settleMs' | 'adopt'>,
): Promise<void> {
  const onWait = (why: string): void => talk.wait(why, job.clock.elapsed())
  const options = { client, settleMs, adopt, signal, onWait }
  const found = await completeResults(job, unanswered, options)
  if (found > 0)
    talk.info(
      `job ${job.name}: ${counted(found, 'missing answer')} came with another download of the results and need no retry`,
    )
}
