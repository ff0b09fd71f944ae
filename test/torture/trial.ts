import { spawn, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createEmulator, type FaultCall, type FaultEffect } from '../../lib/emulator/index.ts'

export const PROGRAM: string = new URL('../../dist/bin/claude-batch-stream.js', import.meta.url)
  .pathname
export const RECORDS = 24

/** Whether the stages of the program exchange single items instead of pages. */
const SINGLE_ITEMS = process.env['TORTURE_SINGLE_ITEMS'] === '1'
/** For NODE_OPTIONS: sets PAGES_SWITCH of lib/core/pages.ts before the program is loaded. */
const WITHOUT_PAGES =
  '--import data:text/javascript,globalThis[Symbol.for(`claude-batch-stream.pages`)]=false'

/** The problems that a trial has found; empty if there are none. */
export interface TrialReport {
  readonly seed: number
  readonly kills: number
  readonly runs: number
  readonly problems: readonly string[]
}

/**
 * A trial runs the real program, kills it with SIGKILL at seeded moments (after a time, or when the API receives a call) and starts it
 * again until it ends by itself. The emulator's ledger and the output file are then checked.
 */
export async function trial(seed: number, folder: string): Promise<TrialReport> {
  const random = randomFrom(seed)
  const plan = planOf(random)
  let child: ChildProcess | undefined
  let kills = 0
  const kill = (): void => {
    if (child?.kill('SIGKILL')) kills += 1
  }
  const onCall = (call: FaultCall): FaultEffect | undefined => {
    if (kills < plan.kills && call.op === plan.op && random() < 0.5) {
      if (plan.delayMs === 0) kill()
      else setTimeout(kill, plan.delayMs)
    }
    return random() < 0.15 ? faultFor(call, random) : undefined
  }
  const emulator = await createEmulator({ batchTimeMs: 60 + random() * 60, faults: onCall })
  const paths = prepare(folder, seed)
  let runs = 0
  let code: number | null = null
  try {
    while (code !== 0 && code !== 3 && runs < 30) {
      runs += 1
      child = spawn(process.execPath, [PROGRAM, ...plan.flags, ...flagsOf(emulator.url, paths)], {
        env: {
          PATH: process.env['PATH'],
          NODE_OPTIONS: SINGLE_ITEMS ? WITHOUT_PAGES : '',
          ANTHROPIC_API_KEY: 'key-of-torture',
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      const timer = kills < plan.kills ? setTimeout(kill, plan.timeMs()) : undefined
      const ended = await endOf(child)
      clearTimeout(timer)
      code = ended.code
      if (code !== null && ![0, 3].includes(code) && ended.stderr !== '')
        writeFileSync(paths.log, ended.stderr, { flag: 'a' })
    }
    const problems = await judge(emulator.ledger, paths, code, runs)
    if (problems.length === 0) rmSync(paths.folder, { recursive: true, force: true })
    return { seed, kills, runs, problems }
  } finally {
    await emulator.close()
  }
}

interface Plan {
  readonly kills: number
  readonly op: FaultCall['op']
  readonly delayMs: number
  readonly timeMs: () => number
  readonly flags: readonly string[]
}

function planOf(random: () => number): Plan {
  const op = pick(random, ['create', 'create', 'list', 'retrieve', 'results'] as const)
  return {
    kills: 1 + Math.floor(random() * 4),
    op,
    delayMs: random() < 0.3 ? 0 : Math.floor(random() * 12),
    timeMs: () => 120 + random() * 700,
    flags: [
      '--batch-size',
      String(3 + Math.floor(random() * 8)),
      '-c',
      String(1 + Math.floor(random() * 4)),
    ],
  }
}

/** Faults that a run must survive in addition to kills. */
export function faultFor({ op }: FaultCall, random: () => number): FaultEffect | undefined {
  switch (op) {
    case 'create':
      return pick(random, [
        { reset: true, when: 'after' },
        { reset: true, when: 'early', bytes: -1 },
        { status: 500, when: 'after' },
        { status: 529, when: 'before' },
        { status: 429, when: 'before', headers: { 'retry-after': '0' } },
        { errored: [{ index: [0], error: { type: 'api_error' }, times: 1 }] },
      ] as const satisfies readonly FaultEffect[])
    case 'list':
    case 'retrieve':
      return pick(random, [
        { reset: true },
        { status: 500 },
        { body: '<html>', status: 200 },
      ] as const)
    case 'results':
      return pick(random, [
        { lines: { cutInside: 1 } },
        { lines: { drop: 0 } },
        { reset: true },
      ] as const satisfies readonly FaultEffect[])
    default:
      return undefined
  }
}

export interface Paths {
  readonly folder: string
  readonly input: string
  readonly output: string
  readonly state: string
  readonly log: string
}

export function prepare(parent: string, seed: number): Paths {
  const folder = join(parent, `trial-${seed}-${randomUUID().slice(0, 8)}`)
  mkdirSync(folder, { recursive: true })
  const input = join(folder, 'in.jsonl')
  const lines = Array.from(
    { length: RECORDS },
    (_, at) => `${JSON.stringify({ id: at, text: `text ${at} of trial ${seed}` })}\n`,
  )
  writeFileSync(input, lines.join(''))
  return {
    folder,
    input,
    output: join(folder, 'out.jsonl'),
    state: join(folder, 'state'),
    log: join(folder, 'stderr.log'),
  }
}

function flagsOf(url: string, { input, output, state }: Paths): string[] {
  return [
    '-i',
    input,
    '-o',
    output,
    '-p',
    'About: {{text}}',
    '--base-url',
    url,
    '--state-dir',
    state,
    '--poll',
    '15ms',
    '--settle',
    '400ms',
    '--no-preflight',
    '-q',
  ]
}

export function endOf(child: ChildProcess): Promise<{ code: number | null; stderr: string }> {
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise(resolve => child.once('close', code => resolve({ code, stderr })))
}

export async function judge(
  ledger: Awaited<ReturnType<typeof createEmulator>>['ledger'],
  { input, output }: Paths,
  code: number | null,
  runs: number,
): Promise<string[]> {
  const problems: string[] = []
  if (code !== 0) problems.push(`the last of ${runs} runs ended with ${code}`)
  const billed = new Map<string, number>()
  for await (const { custom_id, batch_id, billed: isBilled } of ledger.requests()) {
    // The same attempt of a record may be accepted once; a retry of a failed one has another attempt in its id.
    billed.set(custom_id, (billed.get(custom_id) ?? 0) + 1)
    if ((billed.get(custom_id) ?? 0) > 1)
      problems.push(`${custom_id} was accepted again in ${batch_id} (billed: ${isBilled})`)
  }
  const paid = await ledger.byRequest()
  for (const [key, { billed: times }] of paid)
    if (times > 1) problems.push(`request ${key} was paid ${times} times`)
  const text = existsSync(output) ? readFileSync(output, 'utf8').trimEnd() : ''
  const rows = text === '' ? [] : text.split('\n')
  const records = readFileSync(input, 'utf8').trimEnd().split('\n')
  if (rows.length !== records.length)
    problems.push(`${rows.length} rows for ${records.length} records`)
  const answered = new Map(rows.map(row => JSON.parse(row)).map(row => [row.id, row]))
  for (const record of records.map(line => JSON.parse(line))) {
    const row = answered.get(record.id)
    if (!row) problems.push(`record ${record.id} has no row`)
    else if (row._batch.status !== 'succeeded')
      problems.push(`record ${record.id} is ${row._batch.status}`)
    else if (!row.response.includes(`text ${record.id} of`))
      problems.push(`record ${record.id} has another's answer: ${row.response}`)
  }
  return problems
}

export function pick<Item>(random: () => number, items: readonly Item[]): Item {
  // In range, as random() is below 1.
  return items[Math.floor(random() * items.length)] as Item
}

/** Mulberry32: small, seeded, the same everywhere. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
