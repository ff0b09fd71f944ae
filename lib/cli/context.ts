import type { SharedLedger } from '../core/job/shared-ledger.ts'
import type { Next } from './finish.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import type { Watch } from './progress/watch.ts'
import type { Talk } from './talk.ts'

/** What every command works with. */
export interface Context {
  readonly flags: Flags
  readonly io: Io
  readonly talk: Talk
  /** Told of what happens. */
  readonly watch: Watch
  /** Where jobs are that other machines work on, too; undefined for jobs of this machine. */
  readonly ledger?: SharedLedger | undefined
  /** Names of jobs in the ledger that a worker held when the command began. */
  readonly held?: ReadonlySet<string> | undefined
  /** Aborted by the first signal that ends the program. */
  readonly signal: AbortSignal
  /** The words of this command. */
  readonly words: readonly string[]
  /** The folder that it was started in. */
  readonly cwd: string
  /** The flags that say where jobs and the API are and how to wait, to be said again by the command that continues. */
  readonly placeFlags: readonly string[]
  /** Says which command continues from here, should this one end early. */
  nextIs(next: () => Next | undefined): void
}
