// Runs the built program (`npm run build`) as a process.
import { spawn, type ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'
import type { Test } from 'tap'
import { KEY, type Place } from '../cli/world.ts'
import { until, within } from '../support/waiting.ts'

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
  /** Resolves when it ends; on timeout, rejects with what it printed. */
  readonly ended: Promise<Ended>
  /** Resolves when a condition holds; rejects with stderr if the program ends before. */
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
  const told = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', data => (told.out += data))
  child.stderr.setEncoding('utf8').on('data', data => (told.err += data))
  const closed = new Promise<Ended>(done =>
    child.once('close', code => done({ code, ...told, said: told.err.split('\n').slice(0, -1) })),
  )
  const early = closed.then(({ code, err }) => {
    throw new Error(`it ended before, with ${code}: ${err}`)
  })
  // Handled only by `until`.
  early.catch(() => {})
  return {
    child,
    get ended() {
      return within(closed, () => {
        child.kill('SIGKILL')
        return `claude-batch-stream ${words.join(' ')}; it said: ${told.err}`
      })
    },
    until: condition => Promise.race([until(condition), early]),
  }
}

/** The flags for the state directory and the API of a place. */
export const where = ({ state, emulator }: Place): string[] => [
  '--state-dir',
  state,
  '--base-url',
  emulator.url,
]
