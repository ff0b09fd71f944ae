import type { RunEvent } from '../../core/job/run-event.ts'
import type { JobState, Phase } from '../../core/job/state.ts'
import type { Dollars } from '../money.ts'

/** Where a job stands when a command begins to work on it: what the events after it go on from. */
export interface Started {
  readonly type: 'started'
  readonly records: number
  readonly complete: boolean
  readonly batches: readonly {
    readonly number: number
    readonly attempt: number
    readonly phase: Phase
    readonly id: string | null
    readonly requests: number
    readonly records: number
    /** Ms since 1970. */
    readonly submittedAt: number | null
  }[]
}

/** What the program tells besides what the job does. */
export type ProgramEvent =
  | Exclude<RunEvent, { readonly type: 'columns' }>
  /** How many input columns a table has: their names may say what a record holds. */
  | { readonly type: 'columns'; readonly count: number }
  | Started
  | ({ readonly type: 'spent' } & Dollars)
  /** The last one: the exit code, and the words of the command that continues. */
  | { readonly type: 'exit'; readonly code: number; readonly next: readonly string[] | null }

/** An event as --events and --progress json write it, one a line. */
export type Report = { readonly time: string; readonly job: string | null } & ProgramEvent

/** Something that reports go to. */
export interface Sink {
  tell(report: Report): void
  /** How many records have been read, whenever somebody asks. */
  count?(read: () => number): void
  /** Resolves when all that was told is out. */
  close?(): Promise<void>
}

export function startedOf({ kept, batches }: JobState): Started {
  return {
    type: 'started',
    records: kept.records,
    complete: kept.complete,
    batches: [...batches.values()]
      .filter(({ phase }) => phase !== 'void')
      .map(({ number, attempt, phase, id, requests, records, submittedAt }) => ({
        ...{ number, attempt, phase, id, requests, records, submittedAt },
      })),
  }
}
