import type { SoundJob } from '../../store/inspect.ts'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { BatchStreamError, wrapError } from '../../core/errors.ts'
import { nodeDisk, type FileKind } from '../../store/disk.ts'
import { isLocked } from '../../store/lock.ts'
import { reservedOf } from '../../cost/journal-figures.ts'
import { withLines } from '../../report/failed-lines.ts'
import { ReportFigures } from '../../report/figures.ts'
import { generatorOf, pageOf } from '../../report/page.ts'
import { batchRowsOf } from '../../report/batch-rows.ts'
import type { JobReport, ReportRequest } from '../../report/report.ts'
import { timeLineOf } from '../../report/time-line.ts'
import { eachKeptAnswer } from '../../store/results/stored-answers.ts'
import { answerCheck } from '../../core/schema/answer-check.ts'
import { existingOutputError } from '../../stages/write/output.ts'
import { clientOf } from '../client.ts'
import { openFound, restoreAnswers, restoreRecords } from '../ledger.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { estimateFor, pricesOf } from '../money.ts'
import { print } from '../print.ts'
import { jobNamed, rememberedBy } from '../remembered.ts'
import { moneyIn, type Settings } from '../settings.ts'
import { redacted, secretsIn } from '../shown.ts'
import { stateDir } from '../state-dir.ts'

/** Writes a job as a page, from what is on disk: without API calls and without disturbing the job. */
export async function report(context: Context): Promise<Ending> {
  const { flags, io, talk } = context
  const job = await jobNamed(stateDir(flags, io.env), flags.args[0])
  const output = flags.text('output') ?? '-'
  const path = output === '-' ? undefined : resolve(output)
  if (path === undefined && io.stdout.isTTY)
    throw new BatchStreamError(
      'CBS_OPTION',
      'a report is an HTML page, which a terminal cannot show: write it to a file with -o report.html',
    )
  const found = path === undefined ? undefined : await nodeDisk.stat(path)
  // Checked before a large job is read.
  if (path !== undefined && found !== undefined && found !== 'special')
    if (!(await isReportOf(job.name, path, found))) throw existingOutputError(path, { found })
  if (context.ledger) await restoreFiles(context, job)
  const page = redacted(pageOf(await reportOf(job, context)), secretsIn(io.env))
  if (path === undefined) await print(io.stdout, page)
  else {
    await write(path, page, found === undefined)
    talk.info(`job ${job.name}: the report is ${path}`)
  }
  return { code: EXIT.answered }
}

/** Whether a file is an earlier report of the job, which a new one replaces. */
async function isReportOf(job: string, path: string, found: FileKind): Promise<boolean> {
  if (found === 'folder') return false
  const file = await nodeDisk.open(path, 'read')
  try {
    const start = Buffer.alloc(1000)
    const bytes = start.subarray(0, await file.read(start, 0))
    return bytes.includes(`<meta name="generator" content="${generatorOf(job)}">`)
  } finally {
    await file.close()
  }
}

/** Copies another machine's files of the job to this disk. */
async function restoreFiles(context: Context, found: SoundJob): Promise<void> {
  const { flags, io } = context
  const client = await clientOf(flags, io, { job: rememberedBy(found).run, keyless: true })
  const job = await openFound(context, stateDir(flags, io.env), found)
  try {
    await restoreRecords(context, job, found)
    await restoreAnswers(context, job, client)
  } finally {
    await job.close()
  }
}

async function reportOf(job: SoundJob, { flags, io, signal }: Context): Promise<JobReport> {
  const { state, name, folder } = job
  const { run, note } = rememberedBy(job)
  const settings = { ...run, ...moneyIn(flags) }
  const madeAt = io.clock.now()
  const isRunning = await isLocked(folder)
  const figures = new ReportFigures(pricesOf(settings))
  await eachKeptAnswer(job, settings.schema && answerCheck(settings.schema), (result, kept) => {
    signal.throwIfAborted()
    figures.add(result, kept)
  })
  return {
    job: name,
    note,
    state: isRunning ? 'running' : state.finished ? 'finished' : 'unfinished',
    madeAt,
    openedAt: state.openedAt,
    model: settings.prompt === undefined ? undefined : settings.model,
    sources: state.sources,
    records: state.spooled.records,
    isRead: state.spooled.complete,
    request: requestOf(settings),
    batches: batchRowsOf(state.batches.values()),
    timeLine: timeLineOf(state.batches.values(), state.openedAt, madeAt),
    figures,
    failures: await withLines(folder, state.sources, figures.failures.groups),
    estimate: estimateFor(state, settings),
    reserved: reservedOf(state),
  }
}

/** What the options of a job say about its requests. */
function requestOf(settings: Settings): ReportRequest {
  const { prompt, system, schema, template, model, maxTokens, params, vars, attach, cache, id } =
    settings
  const { betas, baseUrl } = settings
  // Without a prompt, the module or the records may choose other values.
  const own =
    prompt === undefined
      ? []
      : [
          ['Model', model],
          ['Maximum tokens', String(maxTokens)],
        ]
  const given = [
    ...own,
    ...Object.entries(params).map(([name, value]) => [name, JSON.stringify(value)]),
    ...Object.entries(vars).map(([name, value]) => [`{{${name}}}`, value]),
    ['Template module', template],
    ['Attached files', attach?.join(', ')],
    ['Prompt cache', cache === true ? 'on' : cache],
    ['Ids from', id],
    ['Betas', betas.length === 0 ? undefined : betas.join(', ')],
    ['API', baseUrl === undefined ? undefined : new URL(baseUrl).origin],
  ]
  const texts = [
    ['Prompt', prompt],
    ['System prompt', system],
    ['Schema', schema && JSON.stringify(schema, null, 2)],
  ]
  return { texts: withValues(texts), parameters: withValues(given) }
}

function withValues(pairs: readonly (readonly (string | undefined)[])[]): [string, string][] {
  return pairs.flatMap(([name, value]): [string, string][] =>
    name === undefined || value === undefined ? [] : [[name, value]],
  )
}

async function write(path: string, page: string, isNew: boolean): Promise<void> {
  await writeFile(path, page, { flag: isNew ? 'wx' : 'w' }).catch(
    (cause: NodeJS.ErrnoException) => {
      throw cause.code === 'EEXIST'
        ? existingOutputError(path)
        : wrapError('CBS_DISK', `${path} cannot be written`, cause)
    },
  )
}
