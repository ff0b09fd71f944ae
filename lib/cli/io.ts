import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import type { LedgerPool } from '../store/postgres/pool.ts'

/** What the program has of the world; `process` is one. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly env: Readonly<Record<string, string | undefined>>
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  /** The terminal that it was started in, whatever stdin and stdout are; undefined, or none, where there is no terminal. */
  readonly terminal?: (() => Promise<Terminal | undefined>) | undefined
  /** What every command waits by and tells the time from. */
  readonly clock: Clock
  /** Connects to the database of a ledger in place of the driver; for tests where no server is installed. */
  readonly connectLedger?: ((url: string) => ClosablePool) | undefined
  /** Leaves at once; for a second Ctrl-C. */
  exit(code: number): void
}

/** Connections to a database, which end with the program. */
export interface ClosablePool extends LedgerPool {
  end(): Promise<void>
}

/** Where somebody can be asked. */
export interface Terminal {
  readonly input: Readable
  readonly output: Writable
  close(): void
}
