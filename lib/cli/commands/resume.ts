import type { SoundJob } from '../../store/inspect.ts'
import { pipeline } from 'node:stream/promises'
import { openFound, restoreAnswers } from '../ledger.ts'
import type { JobState, Phase } from '../../core/job/state.ts'
import { clientOf } from '../client.ts'
import type { Context } from '../context.ts'
import { detach } from '../detach.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { EXIT } from '../exit-code.ts'
import { finish, inputNeeded, undecidedIn, type Ending, type Next } from '../finish.ts'
import { keepFrom, openInput, type InputState } from '../input.ts'
import { follow } from '../progress/follow.ts'
import { checkedTable, openRows } from '../open-rows.ts'
import { rowOptionsOf } from '../row-options.ts'
import { mustMatch, remember } from '../run-job.ts'
import { ownFiles } from '../own-files.ts'
import { jobNamed, rememberedBy, unfinishedJobs } from '../remembered.ts'
import { maxInvalidOf } from '../input-settings.ts'
import { isEndless, moneyIn } from '../settings.ts'
import { shardIn } from '../shard-flags.ts'
import { rowsOfShard } from '../shards.ts'
import { isSameShard, otherShard, shardJobName } from '../../core/shard.ts'
import { endIn } from '../job-end/end-options.ts'
import { tellingEnd } from '../job-end/tell-end.ts'
import { canaryFor } from '../canary-for.ts'
import { withLimits } from '../model-limits.ts'
import { endIfCutShort, endIfStopped, leaveRunning, runDraining } from '../drain.ts'
import { freeCall } from '../free-call.ts'
import { asking, checkDecisions, paceOf, templateOptions, type Work } from '../stages.ts'
import { stateDir } from '../state-dir.ts'
import { TableColumns } from '../table-columns.ts'
import { RowTally } from '../tally.ts'
import { CostLedger } from '../../cost/ledger.ts'
import { capFlags, capFor, mustHavePrice, pricesOf, tellCost } from '../money.ts'

/** Resumes a job from disk: the same pipeline as its first run, fed from the journal. */
export async function resume(context: Context): Promise<Ending> {
  const { flags, io, talk, signal } = context
  const dir = stateDir(flags, io.env)
  // A cron job that resumes any job is silent if there is none.
  const isQuiet = flags.args[0] === undefined && flags.has('quiet')
  if (isQuiet && (await unfinishedJobs(dir)).length === 0) return { code: EXIT.usage }
  const found = await jobToResume(context, dir)
  const known = rememberedBy(found)
  const isPipe = known.run.input.includes('-')
  const piped = isPipe && !found.state.spooled.complete
  const abandon = flags.has('abandon')
  // Without it the command that continues would send the rest.
  const abandonFlags = abandon ? ['--abandon'] : []
  const nextOf = (state: JobState, more: readonly string[] = []): Next => {
    const input = inputNeeded(state, isPipe)
    if (isPipe && input) return { words: [...known.words, ...more], input }
    const words = ['resume', found.name, ...abandonFlags, ...more, ...context.placeFlags]
    return { words, ...(input && { input }) }
  }
  context.nextIs(() => nextOf(found.state))
  if (piped && !hasSomethingToCollect(found.state)) throw needsInput(found.name)
  const run = { ...known.run, ...moneyIn(flags), ...endIn(flags) }
  const settings = { ...run, maxInvalid: maxInvalidOf(flags) ?? run.maxInvalid }
  const rows = rowsOfShard(rowOptionsOf(flags, known.rows), run.shard)
  mustHavePrice(settings)
  const pace = paceOf(flags, known.concurrency)
  if (abandon && flags.has('detach'))
    throw new BatchStreamError(
      'CBS_OPTION',
      '--abandon cannot be combined with --detach: it waits for batches in flight and writes the rows (`cancel` ends them sooner)',
    )
  const template = await templateOptions(settings, talk)
  const client = await clientOf(flags, io, {
    job: settings,
    talk,
    keyless: found.state.finished,
  })
  const job = await openFound(context, dir, found)
  return await tellingEnd(context, { settings, job }, async () => {
    checkDecisions(job, pace, talk)
    if (job.input.isRefilling && known.run.input.includes('-')) throw needsInput(found.name)
    await restoreAnswers(context, job, client)
    mustMatch(known.rows, rows, job.state.output.out)
    await remember(job, found, { ...known, run, rows })
    const reading: InputState = { format: undefined, files: 0, broken: undefined }
    // The rest of a pipe is lost, but what was sent of it can be fetched.
    if (piped) job.queue.stop(needsInput(found.name))
    const { spooled } = job.state
    const hasInput = spooled.complete && spooled.broken === null && !job.input.isRefilling
    // The records of a pipe that ended too early are spooled.
    const records =
      hasInput || isPipe
        ? undefined
        : await openInput({
            ...{ settings, cwd: known.cwd, io, talk, reading, signal },
            isOwn: await ownFiles(context, [rows.output, rows.errors]),
          })
    const ordered = rows.order === 'input'
    const drains = !flags.has('detach')
    const cap = capFor(context, job, settings, drains)
    context.nextIs(() => ({ ...nextOf(job.state, capFlags(cap)), ...undecidedIn(job) }))
    const canary = abandon ? undefined : canaryFor(job, settings, drains, true)
    const ledger = new CostLedger(pricesOf(settings))
    const columns = new TableColumns({
      job,
      known: known.columns,
      endless: isEndless(settings),
      isRead: records !== undefined,
    })
    const table = checkedTable(rows, columns)
    const work: Work = {
      ...{ settings, pace, job, client, talk, ordered, table, ledger, cap, canary, abandon },
      // What is finished is only printed again.
      template: job.state.finished
        ? template
        : await withLimits(template, settings, client, freeCall(context)),
      stateDir: dir,
    }
    follow(context, work)
    if (flags.has('detach'))
      return await detach(context, work, records && { reading, stream: records })
    const tally = new RowTally()
    const parts = {
      signal,
      job,
      options: rows,
      columns,
      schema: settings.schema,
      priceOf: pricesOf(settings),
    }
    const out = await openRows(parts, io, talk, one => tally.add(one, one.record?.ordinal))
    const isLeft = await runDraining(work, signal, async signal => {
      if (records) await pipeline(records, keepFrom(reading, job), asking(work), out, { signal })
      else await pipeline(job.input.unbatchedRecords(), asking(work), out, { signal })
    })
    await endIfStopped(work, tally)
    if (isLeft) return await leaveRunning(context, work, tally)
    await endIfCutShort(work, tally)
    const ending = await finish(job, tally, talk, context.placeFlags)
    tellCost(talk, work, tally)
    return ending
  })
}

/** The job that the command names, or its shard named by --shard. */
async function jobToResume({ flags, io }: Context, dir: string): Promise<SoundJob> {
  const [name] = flags.args
  const shard = shardIn(flags, io.env)
  if (!shard) return await jobNamed(dir, name)
  if (name === undefined)
    throw new BatchStreamError(
      'CBS_OPTION',
      '--shard needs the name of the job: resume JOB --shard I/N',
    )
  const found = await jobNamed(dir, shardJobName(name, shard.index))
  const then = found.state.shard
  const now = { ...shard, block: then?.block ?? shard.block }
  if (!isSameShard(now, then)) throw otherShard(found.name, now, then)
  return found
}

const COLLECTABLE: ReadonlySet<Phase> = new Set(['armed', 'submitted', 'ended', 'fetched'])

/** Whether the API has, or may have, answers whose rows are not written yet. */
function hasSomethingToCollect({ batches }: JobState): boolean {
  return [...batches.values()].some(({ phase }) => COLLECTABLE.has(phase))
}

function needsInput(name: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_INPUT',
    `job ${name} ended before its input was read completely: run the same command with the same input again to continue`,
  )
}
