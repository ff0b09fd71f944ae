import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { BatchStreamError, wrapError } from '../../core/errors.ts'
import type { Emulator } from '../../emulator/index.ts'
import { nodeDisk } from '../../store/disk.ts'
import { checkColumns } from '../check-input.ts'
import { withInput } from '../checked-input.ts'
import { clientOf } from '../client.ts'
import type { Context } from '../context.ts'
import { detach } from '../detach.ts'
import { dryRun } from '../dry-run.ts'
import { EXIT, isClosedReader } from '../exit-code.ts'
import { finish, inputNeeded, undecidedIn, type Ending } from '../finish.ts'
import { keepFrom, type FirstRecords, type InputState } from '../input.ts'
import { follow } from '../progress/follow.ts'
import { hasWorkLeft } from '../job-work.ts'
import { checkedTable, mustNotBeTerminal, openRows, tableOf } from '../open-rows.ts'
import { isTable, type RowOptions } from '../row-options.ts'
import { discardFailedStart, fingerprintOf, jobForRun, mustNotHaveBegun } from '../run-job.ts'
import { restoreAnswers } from '../ledger.ts'
import { checkReuse } from '../reuse.ts'
import { emptyParquet } from '../parquet-output.ts'
import { print } from '../print.ts'
import { isPipe, openPipe, waitsForReader } from '../pipe.ts'
import { isEndless, settingsOf, type Settings } from '../settings.ts'
import { shardIn } from '../shard-flags.ts'
import { jobNameIn, rowsOfRun, settingsOfShard } from '../shards.ts'
import { tellingEnd } from '../job-end/tell-end.ts'
import { canaryFor } from '../canary-for.ts'
import { withLimits } from '../model-limits.ts'
import { endIfCutShort, endIfStopped, leaveRunning, runDraining } from '../drain.ts'
import { freeCall } from '../free-call.ts'
import { asking, checkDecisions, paceOf, templateOptions, type Pace, type Work } from '../stages.ts'
import { stateDir } from '../state-dir.ts'
import { columnsIn, mustHaveColumns, TableColumns } from '../table-columns.ts'
import { cacheWarning } from '../../stages/template/cache-minimum.ts'
import { existingOutputError, type Output } from '../../stages/write/output.ts'
import type { Talk } from '../talk.ts'
import { RowTally } from '../tally.ts'
import { duration } from '../values.ts'
import type { Cap } from '../../run/cap.ts'
import { CostLedger } from '../../cost/ledger.ts'
import { capFlags, capFor, mustHavePrice, pricesOf, tellCost } from '../money.ts'

/** What the command line specifies. */
interface RunArguments {
  readonly settings: Settings
  readonly rows: RowOptions
  readonly pace: Pace
  readonly template: Work['template']
  /** The job's name, if it has one. */
  readonly name: string | undefined
}

const EMULATED_POLL_MS = 100

/** The command `run`: records in, rows out. */
export async function run(context: Context): Promise<Ending> {
  const { flags, io, talk } = context
  const said = await settingsOf(flags, io.env)
  const shard = shardIn(flags, io.env)
  const name = jobNameIn(flags, shard)
  const rows = rowsOfRun(flags, shard)
  const settings = shard ? await settingsOfShard(said, shard, context) : said
  mustHavePrice(settings)
  await checkReuse(context, settings)
  const pace = paceOf(flags)
  const kept = flags.text('keep')
  if (kept !== undefined) duration('--keep', kept)
  if (flags.has('emulate') && flags.has('detach'))
    throw new BatchStreamError(
      'CBS_OPTION',
      '--detach cannot be combined with --emulate: emulated batches end with the command. Run `claude-batch-stream emulate` beside it, and name its URL with --base-url',
    )
  if (flags.text('max-wait') !== undefined && (flags.has('emulate') || flags.has('detach')))
    throw new BatchStreamError(
      'CBS_OPTION',
      '--max-wait cannot be combined with --emulate, whose batches end with the command, or with --detach, which does not wait',
    )
  if (settings.cache === 'prime' && flags.has('detach'))
    throw new BatchStreamError(
      'CBS_OPTION',
      '--detach cannot be combined with --cache prime, which waits for its first answer; --cache alone does',
    )
  const template = await templateOptions(settings, talk)
  const warning = cacheWarning(template)
  if (warning !== undefined) talk.info(`--cache: ${warning}`)
  return await withInput(context, settings, template, async (peeked, reading) => {
    if (flags.has('dry-run') || flags.text('show') !== undefined)
      return await dryRun(context, { settings, rows }, template, peeked, reading)
    // A shard without records still has a job: `merge` must know that it is finished.
    const isEmpty = peeked.first.length === 0 && !(shard && reading.seen?.() !== 0)
    if (isEmpty) return await noInput(context, { settings, rows, name }, reading)
    return await ask(context, { settings, rows, pace, template, name }, peeked, reading)
  })
}

async function ask(
  context: Context,
  { settings, rows, pace, template, name }: RunArguments,
  { first, stream }: FirstRecords,
  reading: InputState,
): Promise<Ending> {
  const { flags, io, talk, signal, words, cwd } = context
  const keep = flags.text('keep')
  const note = flags.text('note')
  const concurrency = flags.text('concurrency')
  const inputColumns = columnsIn(settings, reading, first)
  mustHaveColumns(rows, inputColumns)
  const place = await placeOf(context)
  const named = flags.text('job')
  if (place.emulator && named !== undefined)
    talk.info(
      `job ${named} is emulated and ends with this command: \`resume\`, \`retry\` and \`results\` will not know it`,
    )
  try {
    const client = await clientOf(flags, io, { emulator: place.emulator?.url, job: settings })
    const begun = await jobForRun(
      {
        dir: place.dir,
        name,
        fresh: flags.has('fresh'),
        fingerprint: fingerprintOf(settings, first[0]),
        clock: io.clock,
        ledger: context.ledger,
        remembered: {
          ...{ run: settings, rows, words, cwd },
          ...(inputColumns && { columns: inputColumns }),
          ...(keep !== undefined && { keep }),
          ...(note !== undefined && { note }),
          ...(concurrency !== undefined && { concurrency }),
        },
        input: { first, stream, reading, template },
      },
      talk,
    )
    const { job, remembered, isResumed } = begun
    const isPiped = settings.input.includes('-')
    let isStarted = false
    let cap: Cap | undefined
    let out: Output | undefined
    if (place.lasts)
      context.nextIs(() => {
        // An interrupted retry is continued by the same commands.
        if (job.state.finished && !hasWorkLeft(job.state)) return undefined
        const input = inputNeeded(job.state, isPiped)
        const more = capFlags(cap)
        const resume = ['resume', job.name, ...more, ...context.placeFlags]
        return isPiped && input
          ? { words: [...words, ...more], input, ...undecidedIn(job) }
          : { words: resume, ...(input && { input }), ...undecidedIn(job) }
      })
    const working = tellingEnd(context, { settings, job }, async () => {
      checkDecisions(job, pace, talk)
      await restoreAnswers(context, job, client)
      const ordered = rows.order === 'input'
      const ledger = new CostLedger(pricesOf(settings))
      const drains = !flags.has('detach')
      cap = capFor(context, job, settings, drains)
      // The same command again is no decision, unless only it can read the rest of its input.
      const continues = isResumed && !job.state.spooled.complete
      const canary = canaryFor(job, settings, drains, continues)
      const columns = new TableColumns({
        job,
        known: remembered.columns,
        endless: isEndless(settings),
        isRead: begun.stream !== undefined,
      })
      const isDetached = flags.has('detach')
      // A later command that prints the rows has all records, unless the columns are known from the start.
      const table = isDetached && !remembered.columns ? undefined : checkedTable(rows, columns)
      const work: Work = {
        ...{ settings, job, client, talk, ordered, table, ledger, cap, canary },
        // A finished job is only printed again.
        template: job.state.finished
          ? template
          : await withLimits(template, settings, client, freeCall(context)),
        // Emulated batches end soon, and polling is free.
        pace: place.emulator ? { ...pace, pollMs: pace.pollMs ?? EMULATED_POLL_MS } : pace,
        stateDir: place.dir,
        stopOnUniformFailure: !continues,
      }
      follow(context, { job, settings, ledger: place.lasts ? ledger : undefined })
      isStarted = flags.has('detach')
      const input = begun.stream && { reading, stream: begun.stream }
      if (isStarted) return await detach(context, work, input)
      const tally = new RowTally()
      const parts = {
        signal,
        job,
        options: rows,
        columns,
        schema: settings.schema,
        priceOf: pricesOf(settings),
      }
      const output = (out = await openRows(parts, io, talk, one =>
        tally.add(one, one.record?.ordinal),
      ))
      isStarted = true
      const isLeft = await runDraining(work, signal, async signal => {
        if (input)
          await pipeline(input.stream, keepFrom(reading, job), asking(work), output, { signal })
        else await pipeline(job.input.unbatchedRecords(), asking(work), output, { signal })
      })
      await endIfStopped(work, tally)
      if (isLeft) return await leaveRunning(context, work, tally)
      await endIfCutShort(work, tally)
      const ending = await finish(job, tally, talk, context.placeFlags)
      if (place.lasts) tellCost(talk, work, tally)
      return place.lasts ? ending : { code: ending.code }
    })
    return await working
      .catch(async (cause: unknown) => {
        // An interrupted run, or one at its cap, can be resumed.
        const isInterrupted = signal.aborted || isClosedReader(cause)
        const isKept = isStarted && (isInterrupted || cap?.stopped !== undefined)
        if (!isResumed && !isKept && (await discardFailedStart(job))) {
          context.nextIs(() => undefined)
          await out?.removeNew()
        }
        throw cause
      })
      .finally(() => begun.close())
  } finally {
    if (place.emulator && signal.aborted) await reportLost(place.emulator, talk)
    await place.close()
  }
}

/** Reports that the batches of an interrupted emulated run are lost, unlike real ones. */
async function reportLost(emulator: Emulator, talk: Talk): Promise<void> {
  const { describeTotals } = await import('./emulate.ts')
  talk.info(await describeTotals(emulator))
  talk.info('emulated batches end with the command, so there is nothing to resume')
}

async function noInput(
  context: Context,
  { settings, rows, name }: Pick<RunArguments, 'settings' | 'rows' | 'name'>,
  reading: InputState,
): Promise<Ending> {
  const { flags, io, talk } = context
  const { output } = rows
  mustNotBeTerminal(rows, io)
  if (reading.broken) throw reading.broken
  if (name !== undefined && !flags.has('fresh') && !flags.has('emulate'))
    await mustNotHaveBegun(stateDir(flags, io.env), name)
  // One line of text looks like the header of a table without rows.
  if (reading.columns) checkColumns(reading.columns, settings)
  talk.info('no input: there are no records, and nothing was sent')
  const columns = rows.outputColumns ?? columnsIn(settings, reading, []) ?? settings.columns ?? []
  await writeEmpty(context, output, await emptyTable(rows, columns, settings.schema))
  return { code: EXIT.answered }
}

/** A table has its header, or its schema, also without rows. */
async function emptyTable(
  rows: RowOptions,
  columns: readonly string[],
  schema: Settings['schema'],
): Promise<Buffer> {
  if (!isTable(rows)) return Buffer.alloc(0)
  if (rows.to === 'parquet') return await emptyParquet(rows, columns, schema)
  return tableOf(rows, columns, schema).header
}

/** Writes what an output without rows holds: a script that reads it finds it. A file that has content is left as it is. */
async function writeEmpty(
  { io, talk, signal }: Context,
  output: string,
  bytes: Buffer,
): Promise<void> {
  if (output === '-' && bytes.length === 0) return
  if (output === '-') return await print(io.stdout, bytes)
  if (await isPipe(output)) {
    const onWait = (): void => talk.info(waitsForReader(output))
    const pipe = await openPipe(output, { signal, onWait })
    await print(pipe, bytes)
    pipe.destroy()
    return
  }
  const found = await nodeDisk.stat(output)
  const hasContent = typeof found === 'number' && found > 0
  await writeFile(output, hasContent ? '' : bytes, { flag: 'a' }).catch(
    (cause: NodeJS.ErrnoException) => {
      throw cause.code === 'EISDIR'
        ? existingOutputError(output, { found: 'folder' })
        : wrapError('CBS_DISK', `${output} cannot be written`, cause)
    },
  )
}

interface JobPlace {
  readonly dir: string
  readonly emulator: Emulator | undefined
  /** Whether the job can be resumed: an emulated one ends with its emulator. */
  readonly lasts: boolean
  close(): Promise<void>
}

/** Where jobs are stored. An emulated run leaves nothing behind: its batches end with the emulator. */
async function placeOf({ flags, io }: Context): Promise<JobPlace> {
  if (!flags.has('emulate'))
    return { dir: stateDir(flags, io.env), emulator: undefined, lasts: true, close: async () => {} }
  const { createEmulator } = await import('../../emulator/index.ts')
  const time = flags.text('batch-time')
  const emulator = await createEmulator(
    time === undefined ? {} : { batchTimeMs: duration('--batch-time', time) },
  )
  // Never among the real jobs, whatever --state-dir says, since resuming it would cost money.
  const dir = await mkdtemp(join(tmpdir(), 'claude-batch-stream-'))
  return {
    dir,
    emulator,
    lasts: false,
    close: async () => {
      await emulator.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}
