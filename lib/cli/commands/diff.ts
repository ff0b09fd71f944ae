import type { SoundJob } from '../../store/inspect.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BatchStreamError } from '../../core/errors.ts'
import { answerCheck } from '../../core/schema/answer-check.ts'
import type { RecordResult } from '../../core/results/result.ts'
import { answerCost } from '../../cost/row-cost.ts'
import { showUsd, usdOf } from '../../cost/usd.ts'
import { propertiesIn, responseJson } from '../../stages/write/answer.ts'
import { rowsInInputOrder } from '../../stages/order/stored-rows.ts'
import { nodeDisk } from '../../store/disk.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { madeOf, totalsOf } from '../job-facts.ts'
import { openFound } from '../ledger.ts'
import { pricesOf } from '../money.ts'
import { print } from '../print.ts'
import { jobNamed, rememberedBy } from '../remembered.ts'
import { counted, printable } from '../shown.ts'
import { stateDir } from '../state-dir.ts'
import { StoredSides, type Side } from '../stored-sides.ts'
import type { Talk } from '../talk.ts'
import { oneOf } from '../values.ts'

const FORMATS = ['table', 'jsonl'] as const

/** Changed records that a table shows; JSONL has all of them. */
const SHOWN = 20

/** Characters of a cell. */
const CELL = 32

/** Pairs of short answers that are counted, and characters of such an answer. */
const MOST_PAIRS = 100
const SHORT = 40

/** Compares the answers that two jobs have for the same records. */
export async function diff(context: Context): Promise<Ending> {
  const { flags, io, talk } = context
  const to = flags.read('to', (flag, text) => oneOf(flag, text, FORMATS))
  const dir = stateDir(flags, io.env)
  const [a, b] = await Promise.all(flags.args.map(name => jobToCompare(dir, name)))
  // The program does not start without two names.
  const jobs = [a, b] as [SoundJob, SoundJob]
  if (jobs[0].name === jobs[1].name)
    throw new BatchStreamError('CBS_OPTION', `diff compares two jobs, got ${jobs[0].name} twice`)
  const isTable = to === undefined ? io.stdout.isTTY === true : to === 'table'
  const folder = await mkdtemp(join(tmpdir(), 'claude-batch-stream-'))
  try {
    const found = await compare(context, dir, jobs, folder, async (changed, nth) => {
      if (!isTable) await print(io.stdout, lineOf(changed))
      else if (nth <= SHOWN) await print(io.stdout, `${cellsOf(changed, nth, jobs)}\n`)
    })
    const lines = await summaryOf(found, jobs)
    if (isTable) await print(io.stdout, `${lines.join('\n')}\n`)
    else sayAll(talk, lines)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return { code: EXIT.answered }
}

async function jobToCompare(dir: string, name: string): Promise<SoundJob> {
  const found = await jobNamed(dir, name)
  if ((await nodeDisk.stat(join(found.folder, 'journal.jsonl'))) !== undefined) return found
  throw new BatchStreamError(
    'CBS_OPTION',
    `job ${name} is in a ledger: diff compares jobs of this machine`,
  )
}

/** A record whose answer is another one. */
interface Changed {
  readonly record: Buffer
  readonly a: Side
  readonly b: Side
}

interface DiffCounts {
  same: number
  changed: number
  onlyA: number
  onlyB: number
  /** How often which short answers met; undefined where answers are long, or too many different ones. */
  pairs: Map<string, number> | undefined
}

/** Reads the first job's rows beside those of the second, which wait in files: memory does not grow with the jobs. */
async function compare(
  context: Context,
  dir: string,
  [a, b]: readonly [SoundJob, SoundJob],
  folder: string,
  give: (changed: Changed, nth: number) => Promise<void>,
): Promise<DiffCounts> {
  const found: DiffCounts = { same: 0, changed: 0, onlyA: 0, onlyB: 0, pairs: new Map() }
  const stored = await StoredSides.create(nodeDisk, folder)
  try {
    for await (const { ordinal, record, side } of sidesOf(context, dir, b))
      await stored.add(ordinal, record, side)
    await stored.flush()
    for await (const { ordinal, record, side } of sidesOf(context, dir, a)) {
      const other = await stored.take(ordinal, record)
      if (!other) {
        found.onlyA += 1
        continue
      }
      countPair(found, side, other)
      if (isSame(side, other)) {
        found.same += 1
        continue
      }
      found.changed += 1
      await give({ record, a: side, b: other }, found.changed)
    }
    found.onlyB = stored.left
  } finally {
    await stored.close()
  }
  return found
}

interface RecordSide {
  readonly ordinal: number
  readonly record: Buffer
  readonly side: Side
}

/** What a job says of its records, in input order: of several answers to one the newest. */
async function* sidesOf(
  context: Context,
  dir: string,
  found: SoundJob,
): AsyncGenerator<RecordSide> {
  const { run } = rememberedBy(found)
  const costOf = answerCost(pricesOf(run))
  const job = await openFound({ io: context.io, ledger: undefined }, dir, found)
  try {
    for await (const result of rowsInInputOrder(job, run.schema && answerCheck(run.schema))) {
      context.signal.throwIfAborted()
      // Every result of a job has its record, which has its place there.
      const { status, record } = result as RecordResult
      const ordinal = record.ordinal as number
      const response = responseJson(result)
      yield { ordinal, record: record.raw, side: { status, response, cost_usd: costOf(result) } }
    }
  } finally {
    await job.close()
  }
}

function isSame(a: Side, b: Side): boolean {
  return a.status === b.status && a.response === b.response
}

function lineOf({ record, a, b }: Changed): string {
  return `{"record":${record.toString('utf8')},"a":${sideJson(a)},"b":${sideJson(b)}}\n`
}

function sideJson({ status, response, cost_usd }: Side): string {
  return `{"status":${JSON.stringify(status)},"response":${response},"cost_usd":${cost_usd}}`
}

/** An answer as people compare it: the value alone where it is the only one, and what became of it where there is none. */
function labelOf({ status, response }: Side): string {
  if (status !== 'succeeded') return `(${status})`
  const values = [...propertiesIn(Buffer.from(response)).values()]
  const [only] = values
  const shown = values.length === 1 && only !== undefined ? only : response
  return shown.startsWith('"') ? JSON.parse(shown) : shown
}

function countPair(found: DiffCounts, a: Side, b: Side): void {
  const { pairs } = found
  if (!pairs) return
  const labels = [labelOf(a), labelOf(b)]
  const key = JSON.stringify(labels)
  const isShort = labels.every(label => label.length <= SHORT)
  if (!isShort || (pairs.size === MOST_PAIRS && !pairs.has(key))) found.pairs = undefined
  else pairs.set(key, (pairs.get(key) ?? 0) + 1)
}

function cell(text: string): string {
  const line = printable(text.replace(/\s+/g, ' '))
  const characters = [...line.slice(0, 2 * CELL)]
  const cut = characters.length > CELL ? `${characters.slice(0, CELL - 1).join('')}…` : line
  return cut.padEnd(CELL)
}

function cellsOf(
  { record, a, b }: Changed,
  nth: number,
  [one, two]: readonly [SoundJob, SoundJob],
): string {
  const row = [record.toString('utf8'), labelOf(a), labelOf(b)].map(cell).join('  ').trimEnd()
  if (nth > 1) return row
  return `${['RECORD', one.name, two.name].map(cell).join('  ').trimEnd()}\n${row}`
}

async function summaryOf(
  { same, changed, onlyA, onlyB, pairs }: DiffCounts,
  [a, b]: readonly [SoundJob, SoundJob],
): Promise<string[]> {
  const both = same + changed
  const more = changed > SHOWN ? `, of which a table shows ${SHOWN} (--to jsonl: all)` : ''
  const lines = [
    `${counted(both, 'record')} in both jobs: ${same} same, ${changed} changed${more}; ${onlyA} only in ${a.name}, ${onlyB} only in ${b.name}`,
  ]
  if (both > 0) lines.push(`agreement: ${((100 * same) / both).toFixed(1)} %`)
  // A key is the JSON of such a pair.
  const often = [...(pairs ?? [])]
    .map(([key, count]) => [JSON.parse(key) as [string, string], count] as const)
    .filter(([[one, two]]) => one !== two)
    .sort((x, y) => y[1] - x[1])
    .slice(0, 10)
  for (const [[one, two], count] of often)
    lines.push(`  ${printable(one)} -> ${printable(two)}: ${count}`)
  for (const { name, state } of [a, b])
    if (!state.finished)
      lines.push(`job ${name} is not finished: its records without an answer are not compared`)
  for (const job of [a, b]) lines.push(await costOfJob(job))
  return lines
}

/** What a job cost, beside the model that explains it. */
async function costOfJob(job: SoundJob): Promise<string> {
  const { spent_usd } = await totalsOf(job)
  const { model } = madeOf(job)
  const cost = spent_usd === null ? 'cost unknown' : showUsd(usdOf(spent_usd))
  return `${job.name}: ${cost}${model === null ? '' : ` (${model})`}`
}

function sayAll(talk: Talk, lines: readonly string[]): void {
  for (const line of lines) talk.info(line)
}
