import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import type { LedgerPool } from '../store/postgres/pool.ts'

/** The program's access to the outside world; `process` is one. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: TextOutput
  readonly stderr: TextOutput
  readonly env: Readonly<Record<string, string | undefined>>
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  /** The terminal that the program was started in, even if stdin and stdout are redirected; undefined if there is none. */
  readonly terminal?: (() => Promise<Terminal | undefined>) | undefined
  /** The clock of all commands. */
  readonly clock: Clock
  /** Connects to the database of a ledger instead of the driver; for tests without a server. */
  readonly connectLedger?: ((url: string) => ClosablePool) | undefined
  /** Ends the process at once by a signal, or with its code; for a second Ctrl-C. */
  endBy(signal: NodeJS.Signals, code: number): void
}

/** A stream of the program; `fd` if it has a file descriptor. */
type TextOutput = Writable & {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly fd?: number
}

/** Database connections that are closed with the program. */
export interface ClosablePool extends LedgerPool {
  end(): Promise<void>
}

/** A terminal on which to ask questions. */
export interface Terminal {
  readonly input: Readable
  readonly output: Writable
  close(): void
}
