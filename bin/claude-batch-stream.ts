#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { SIGNALS } from '../lib/cli/exit-code.ts'
import { main } from '../lib/cli/main.ts'
import { systemClock } from '../lib/core/clock.ts'

// V8 counts buffers when it decides to collect the whole heap, although a collection of the young generation, which costs a
// tenth, would free them. With 5 % of its capacity instead of 80 % it comes first: a job takes 20 MB less memory.
// Later versions of V8 may not know the flag, and would print that.
if (Number.parseInt(process.versions.node) <= 24) setFlagsFromString('--minor-gc-task-trigger=5')

// Loaded when there is a question to ask: `--version` must not wait for it.
const terminal = async () => (await import('../lib/cli/terminal.ts')).openTerminal()

// Node writes to a terminal synchronously. One that is not read (Ctrl-S, a frozen tmux) would block the process, which could then not
// handle a signal.
for (const stream of [process.stdout, process.stderr])
  if (stream.isTTY) (stream as unknown as Terminal)._handle?.setBlocking?.(false)

/** A member of a terminal's stream that Node does not document. */
interface Terminal {
  readonly _handle?: { setBlocking?(isBlocking: boolean): void }
}

/**
 * Ends the process by a signal, after the listeners of `exit`. Node's own exit waits for threads that read from a silent pipe, and aborts
 * if its terminal is gone. The code counts for the first process of a container, which no signal ends.
 */
function endBy(signal: NodeJS.Signals, code: number): void {
  process.on('exit', () => {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
  process.exit(code)
}

const code = await main(
  process.argv.slice(2),
  Object.assign(process, { terminal, clock: systemClock, endBy }),
)
if (code === SIGNALS.SIGHUP) endBy('SIGHUP', code)
process.exitCode = code
// Rows that the reader of a pipe does not take would keep an interrupted process alive.
if (Object.values(SIGNALS).includes(code) && process.stdout.writableLength > 0) process.exit()
