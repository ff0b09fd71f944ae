// Runs the program that `npm run build` has made on a terminal of its own, made by util-linux's `script`.
import { spawn, spawnSync } from 'node:child_process'
import type { Test } from 'tap'
import { until } from '../cli/world.ts'

export interface Screen {
  /** All that the terminal was told. */
  readonly text: string
  /** Types on its keyboard. */
  type(keys: string): void
  /** Closes the window. */
  close(): void
  /** Resolves when something holds; a program that ends before is an error, with what it said. */
  until(condition: (text: string) => boolean): Promise<void>
  /** Its exit code. */
  readonly ended: Promise<number | null>
}

/** Why there is no terminal to be had here; undefined where there is. */
export function noTerminal(): string | undefined {
  const { error, stdout } = spawnSync('script', ['--version'], { encoding: 'utf8' })
  return error === undefined && /util-linux/.test(stdout)
    ? undefined
    : 'skipped: there is no util-linux `script` on this machine, which makes terminals'
}

/** Runs a line of shell on a terminal of so many columns. */
export function onTerminal(
  t: Test,
  line: string,
  env: Readonly<Record<string, string | undefined>>,
  columns = 100,
): Screen {
  const child = spawn('script', ['-qec', `stty cols ${columns}; ${line}`, '/dev/null'], {
    env: { PATH: process.env['PATH'], TERM: 'xterm', SHELL: '/bin/sh', ...env },
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more))
  child.stdin.on('error', () => {})
  // A terminal that closes hangs up on who runs there.
  t.teardown(() => child.kill('SIGTERM'))
  const ended = new Promise<number | null>(done => child.once('close', done))
  const early = ended.then(code => {
    throw new Error(`it ended before, with ${code}: ${text}`)
  })
  // Of use only to who waits for something.
  early.catch(() => {})
  return {
    get text() {
      return text
    },
    close: () => void child.kill('SIGKILL'),
    type: keys => void child.stdin.write(keys),
    until: condition => Promise.race([until(() => condition(text)), early]),
    ended,
  }
}

/** The lines that a reader sees on the screen after all that was written to a terminal; blank ones are left out. */
export function screenOf(text: string): string[] {
  const lines: string[][] = [[]]
  let row = 0
  let column = 0
  for (const [part] of text.matchAll(/\u001b\[[\d;]*[A-Za-z]|[^]/gu)) {
    const line = (lines[row] ??= [])
    if (part === '\n') row += 1
    else if (part === '\r') column = 0
    else if (part === '\u001b[J') {
      line.length = Math.min(line.length, column)
      lines.length = row + 1
    } else if (!part.startsWith('\u001b')) {
      while (line.length < column) line.push(' ')
      line[column] = part
      column += 1
    }
  }
  return lines.map(line => (line ?? []).join('').trimEnd()).filter(line => line !== '')
}
