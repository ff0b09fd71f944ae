import { execFileSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import type { Test } from 'tap'
import { main } from '../../lib/cli/main.ts'
import type { Io } from '../../lib/cli/io.ts'
import { systemClock, type Clock } from '../../lib/core/clock.ts'
import { createEmulator, type Emulator, type EmulatorOptions } from '../../lib/emulator/index.ts'
import type { JobEvent } from '../../lib/core/job/event.ts'
import { within } from '../support/waiting.ts'
import { journalOf } from '../support/world.ts'

export { until } from '../support/waiting.ts'

/** A key that no output may hold. */
export const KEY = 'sk-ant-test-4f9c1e77b2d84a6f'

/** A writable end that collects what it is told. */
export class Collected extends Writable {
  readonly chunks: Buffer[] = []
  isTTY?: boolean

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // What is written may be written over once `done` is called.
    this.chunks.push(Buffer.from(chunk))
    this.emit('told')
    done()
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString('utf8')
  }
}

export interface WorldOptions {
  readonly stdin?: string | Buffer | Readable | undefined
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly stdout?: Writable
  /** A terminal on which somebody is asked; stderr is shown on it. */
  readonly terminal?: Io['terminal']
  /** @default the system's clock */
  readonly clock?: Clock | undefined
  /** Is stdin a terminal? */
  readonly tty?: boolean
  readonly connectLedger?: Io['connectLedger']
}

/** What a program has of the world, for one run of `main` in this process. */
export class World extends EventEmitter implements Io {
  readonly stdin: Io['stdin']
  readonly stdout: Writable
  readonly stderr: Collected = new Collected()
  readonly env: Io['env']
  readonly terminal?: Io['terminal']
  readonly clock: Io['clock']
  readonly connectLedger: Io['connectLedger']
  /** Codes of `exit`, which leaves a real process at once. */
  readonly exits: number[] = []

  constructor(options: WorldOptions = {}) {
    super()
    const { stdin = '', env = {}, stdout = new Collected(), tty, terminal } = options
    this.clock = options.clock ?? systemClock
    this.connectLedger = options.connectLedger
    if (terminal) {
      this.terminal = terminal
      this.stderr.isTTY = true
    }
    const stream =
      stdin instanceof Readable ? stdin : Readable.from(stdin.length ? [Buffer.from(stdin)] : [])
    this.stdin = tty === undefined ? stream : Object.assign(stream, { isTTY: tty })
    this.stdout = stdout
    // What a test asks of stderr is what is said; progress has tests of its own.
    this.env = { CLAUDE_BATCH_STREAM_PROGRESS: 'none', ...env }
  }

  endBy(_signal: NodeJS.Signals, code: number): void {
    this.exits.push(code)
  }
}

/** What a run was like, as its user sees it. */
export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
  /** The lines of stderr. */
  readonly said: readonly string[]
  /** The rows of stdout, parsed. */
  readonly rows: readonly Row[]
}

export interface Row {
  readonly [field: string]: unknown
  readonly response?: unknown
  readonly _batch?: {
    readonly status: string
    readonly custom_id: string | null
    readonly line: number
    readonly source?: string
    readonly batch_id: string | null
    readonly attempt: number
    readonly repeat?: true
    readonly reused?: string
    readonly cost_usd?: number | null
    readonly usage?: Readonly<Record<string, unknown>>
    readonly stop_reason: string | null
    readonly error?: { readonly type: string; readonly message: string }
  }
}

/** Runs the program in this process. */
export async function run(words: readonly string[], options: WorldOptions = {}): Promise<Ran> {
  return await runIn(new World(options), words)
}

/** The same in a world that a test holds; a run that hangs is told to stop, and is an error with its last words. */
export async function runIn(world: World, words: readonly string[]): Promise<Ran> {
  const code = await within(main(words, world), () => {
    world.emit('SIGTERM', 'SIGTERM')
    return `claude-batch-stream ${words.join(' ')}; it said: ${world.stderr.text}`
  })
  return seen(world, code)
}

export function seen(world: World, code: number): Ran {
  const out = world.stdout instanceof Collected ? world.stdout.text : ''
  const err = world.stderr.text
  return {
    code,
    out,
    err,
    said: err.split('\n').slice(0, -1),
    get rows() {
      return rowsOf(out)
    },
  }
}

export function rowsOf(jsonl: string): Row[] {
  return jsonl
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))
}

/** The words of a command line, as a shell reads them. */
export function wordsOf(line: string): string[] {
  const printed = execFileSync('bash', ['--norc', '-c', `printf '%s\\0' ${line}`]).toString()
  return printed.split('\0').slice(0, -1)
}

/** The words of the command that a run says continues it: its last line on stderr. */
export function nextWords(ran: Pick<Ran, 'said'>): string[] {
  const line = /: (claude-batch-stream .*)$/.exec(ran.said.at(-1) ?? '')?.[1]
  if (line === undefined) throw new Error(`no command in: ${ran.said.at(-1)}`)
  return wordsOf(line).slice(1)
}

/** A place with an API of its own, where commands are run as a user would. */
export interface Place {
  readonly emulator: Emulator
  readonly dir: string
  readonly state: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Runs a command with this place's API and jobs. */
  run(words: readonly string[], options?: WorldOptions): Promise<Ran>
  /** Runs exactly these words: the command that continues says where it is. */
  again(ran: Pick<Ran, 'said'>, options?: WorldOptions): Promise<Ran>
  /** Where a run has come to, without waiting for its end. */
  start(words: readonly string[], options?: WorldOptions): { world: World; ended: Promise<Ran> }
  /** A file's path in the place. */
  path(name: string): string
  read(name: string): string
}

/** Waits a fiftieth of what it is told, for runs whose waits of seconds no flag shortens. */
export const FAST_CLOCK: Clock = {
  now: () => systemClock.now(),
  elapsed: () => systemClock.elapsed() * 50,
  sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
}

/** Flags that make a run quick. */
export const QUICK = ['--poll', '10ms', '--settle', '200ms']

export async function placeFor(
  t: Test,
  options: EmulatorOptions = {},
  files: Readonly<Record<string, string>> = {},
): Promise<Place> {
  const emulator = await createEmulator({ port: 0, batchTimeMs: 20, ...options })
  t.teardown(() => emulator.close())
  const dir = t.testdir({ ...files })
  const state = join(dir, 'state')
  const env = { ANTHROPIC_API_KEY: KEY }
  const where = ['--state-dir', state, '--base-url', emulator.url]
  const start: Place['start'] = (words, more = {}) => {
    const at = words.findIndex(word => word.startsWith('-'))
    const [command, flags] = at === -1 ? [words, []] : [words.slice(0, at), words.slice(at)]
    const world = new World({ env, ...more })
    const all = [...command, ...flagsFor(command[0] ?? 'run', where), ...flags]
    return { world, ended: runIn(world, all) }
  }
  return {
    emulator,
    dir,
    state,
    env,
    start,
    run: (words, more) => start(words, more).ended,
    again: (ran, more = {}) => run(nextWords(ran), { env, ...more }),
    path: name => join(dir, name),
    read: name => readFileSync(join(dir, name), 'utf8'),
  }
}

/** What each command takes of where it is and how quick. */
function flagsFor(command: string, where: readonly string[]): readonly string[] {
  if (['run', 'resume', 'retry', 'results'].includes(command)) return [...where, ...QUICK]
  if (['diff', 'merge', 'prune', 'report', 'rm'].includes(command)) return where.slice(0, 2)
  if (command === 'estimate') return where.slice(2)
  return where
}

/** All text that a run could have left in a folder, to look for what must not be there. */
export function everythingIn(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n')
}

/** A source that gives what it is fed, when it is fed. */
export function tap(): PassThrough {
  return new PassThrough()
}

export function csv(rows: number): string {
  return ['id,text', ...Array.from({ length: rows }, (_, i) => `${i},text ${i}`), ''].join('\n')
}

/** Whether the job has come so far. */
export function journaled({ state }: Place, type: JobEvent['type'], job = 'j'): boolean {
  const folder = `${state}/jobs/${job}`
  return existsSync(`${folder}/journal.jsonl`) && journalOf(folder).some(one => one.type === type)
}
