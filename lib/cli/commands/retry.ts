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
import { openRows, rowOptionsApart, tableFieldsOf } from '../row-options.ts'
import { withLimits } from '../model-limits.ts'
import { endIfStopped, runDraining } from '../drain.ts'
import { freeCall } from '../free-call.ts'
import { asking, checkDecisions, paceOf, templateOptions, type Work } from '../stages.ts'
import { stateDir } from '../state-dir.ts'
import { RowTally } from '../tally.ts'
import { CostLedger } from '../../cost/ledger.ts'
import { capFlags, capFor, costLine, mustHavePrice, pricesOf } from '../money.ts'
import { endIn } from '../job-end/end-options.ts'
import { tellingEnd } from '../job-end/tell-end.ts'
import { moneyIn } from '../settings.ts'
import { rowsOfShard } from '../shards.ts'
import { join } from 'node:path'
import { replaceFile } from '../../store/disk.ts'
import { RETRY_NOTE } from '../job-work.ts'

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
  const client = await clientOf(flags, io, { job: settings })
  const next = { words: ['retry', found.name, ...context.placeFlags] }
  context.nextIs(() => next)
  const job = await openFound(context, dir, found)
  return await tellingEnd(context, { settings, job }, async () => {
    checkDecisions(job, pace)
    await restoreRecords(context, job, found)
    await restoreAnswers(context, job, client)
    const last = await beginRetry(job)
    const isOld = (result: Result): boolean => result.batch.number <= last
    const counted = new RowTally()
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
    const out = await openRows(parts, io, talk, one => tally.add(one, one.record?.ordinal))
    const onlyNew = stage((result: Result) => {
      if (!isOld(result)) return result
      counted.add(result)
      return undefined
    })
    await runDraining(work, signal, signal =>
      pipeline(job.input.unbatchedRecords(), asking(work), onlyNew, out, { signal }),
    )
    await endIfStopped(work, tally)
    await endRetry(job)
    await reportRetry(context, job, tally, counted)
    talk.info(costLine(job, ledger, settings))
    return tally.failed === 0
      ? { code: EXIT.answered }
      : failedEnding(job, tally, context.placeFlags)
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
  const rejected = old.byStatus().rejected ?? 0
  const rest = rejected === 0 ? '' : `; ${rejected} rejected rows cannot be retried`
  if (asked.rows === 0) talk.info(`job ${job.name}: there is nothing to retry${rest}`)
  else await reportTally(job, asked, talk, ` (retried)${rest}`)
}

/**
 * Returns the number of the last batch before this retry. It is stored until the retry is finished, so that an interrupted
 * retry resumes and prints the same rows again.
 */
async function beginRetry(job: StoredJob): Promise<number> {
  const known = await job.store.disk.readWhole(noteOf(job))
  if (known) {
    const { after }: { after: number } = JSON.parse(known.toString('utf8'))
    return after
  }
  const after = Math.max(0, ...job.state.batches.keys())
  await replaceFile(job.store.disk, noteOf(job), Buffer.from(`${JSON.stringify({ after })}\n`))
  return after
}

async function endRetry(job: StoredJob): Promise<void> {
  await job.store.disk.remove(noteOf(job))
}

function noteOf(job: StoredJob): string {
  return join(job.store.folder, RETRY_NOTE)
}
