import type { RunEvent } from '../../core/job/run-event.ts'
import type { JobState, Phase } from '../../core/job/state.ts'
import type { Dollars } from '../money.ts'
import type { Settings } from '../settings.ts'

/** Where a job stands when a command begins to work on it; the events after it continue from there. */
export interface Started {
  readonly type: 'started'
  readonly records: number
  readonly complete: boolean
  /** Requests in a batch at most; null where the command seals none. */
  readonly batchSize: number | null
  /** A batch ends after so many records of the job even when it is not full: what `--cache prime` and `--canary` send first. */
  readonly batchEnds: readonly number[]
  readonly batches: readonly {
    readonly number: number
    /** The batch that this one is a part of, or its own number. */
    readonly root: number
    readonly attempt: number
    readonly phase: Phase
    readonly id: string | null
    readonly requests: number
    readonly records: number
    /** It covers the input up to this record; 0 for a retry. */
    readonly next: number
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

export function startedOf({ kept, batches }: JobState, settings?: Settings): Started {
  return {
    type: 'started',
    records: kept.records,
    complete: kept.complete,
    batchSize: settings?.batchSize ?? null,
    batchEnds: [...(settings?.cache === 'prime' ? [1] : []), ...ifGiven(settings?.canary)],
    batches: [...batches.values()]
      .filter(({ phase }) => phase !== 'void')
      .map(({ number, root, attempt, phase, id, requests, records, next, submittedAt }) => ({
        ...{ number, root, attempt, phase, id, requests, records, next, submittedAt },
      })),
  }
}

function ifGiven(value: number | undefined): readonly number[] {
  return value === undefined ? [] : [value]
}
