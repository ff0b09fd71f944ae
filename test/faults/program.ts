// Runs the program that `npm run build` has made, as a process of its own.
import { spawn, type ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { KEY, until, type Place } from '../cli/world.ts'

export const PROGRAM = resolve('dist/bin/claude-batch-stream.js')
export const ASK = ['-p', 'Say {{text}}', '--poll', '10ms', '--settle', '200ms']

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
  readonly said: readonly string[]
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Resolves when something holds; a program that ends before is an error, with its last words. */
  until(condition: () => boolean): Promise<void>
}

export function start(t: Test, words: readonly string[], stdin?: string): Running {
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    env: {
      PATH: process.env['PATH'],
      ANTHROPIC_API_KEY: KEY,
      CLAUDE_BATCH_STREAM_PROGRESS: 'none',
    },
  })
  t.teardown(() => child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  if (stdin !== undefined) child.stdin.end(stdin)
  const ended = ending(child)
  const early = ended.then(({ code, err }) => {
    throw new Error(`it ended before, with ${code}: ${err}`)
  })
  // Of use only to who waits for something.
  early.catch(() => {})
  return { child, ended, until: condition => Promise.race([until(condition), early]) }
}

async function ending(child: ReturnType<typeof spawn>): Promise<Ended> {
  const streams = [child.stdout, child.stderr].map(stream => (stream ? text(stream) : ''))
  const code = await new Promise<number | null>(done => child.once('close', done))
  const [out = '', err = ''] = await Promise.all(streams)
  return { code, out, err, said: err.split('\n').slice(0, -1) }
}

/** The flags that say where a place is. */
export const where = ({ state, emulator }: Place): string[] => [
  '--state-dir',
  state,
  '--base-url',
  emulator.url,
]
