import type { SharedLedger } from '../core/job/shared-ledger.ts'
import type { Next } from './finish.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import type { Watch } from './progress/watch.ts'
import type { Talk } from './talk.ts'

/** What every command receives. */
export interface Context {
  readonly flags: Flags
  readonly io: Io
  readonly talk: Talk
  /** Receives the events of the command. */
  readonly watch: Watch
  /** The ledger of jobs that other machines work on too; undefined for local jobs. */
  readonly ledger?: SharedLedger | undefined
  /** Names of jobs in the ledger that a worker held when the command began. */
  readonly held?: ReadonlySet<string> | undefined
  /** Aborted by the first signal that ends the program. */
  readonly signal: AbortSignal
  /** The words of this command. */
  readonly words: readonly string[]
  /** The working directory. */
  readonly cwd: string
  /** The flags for the state folder, the API and waiting, repeated in the command that continues. */
  readonly placeFlags: readonly string[]
  /** Sets the command that continues if this one ends early. */
  nextIs(next: () => Next | undefined): void
}
