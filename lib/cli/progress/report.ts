import type { RunEvent } from '../../core/job/run-event.ts'
import type { JobState, Phase } from '../../core/job/state.ts'
import type { Dollars } from '../../cost/usd.ts'
import type { Settings } from '../settings.ts'

/** The state of a job when a command starts to work on it; later events continue from there. */
export interface Started {
  readonly type: 'started'
  readonly records: number
  readonly complete: boolean
  /** Maximum requests per batch; null if the command seals no batch. */
  readonly batchSize: number | null
  /** Record numbers after which a batch ends even if it is not full: the first requests of `--cache prime` and `--canary`. */
  readonly batchEnds: readonly number[]
  readonly batches: readonly {
    readonly number: number
    /** The batch that this one was split from, or its own number. */
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

/** Events of the program, in addition to those of the job. */
export type ProgramEvent =
  | Exclude<RunEvent, { readonly type: 'columns' }>
  /** Number of input columns of a table. */
  | { readonly type: 'columns'; readonly count: number }
  | Started
  | ({ readonly type: 'spent' } & Dollars)
  /** The last event: the exit code, and the command that continues. */
  | { readonly type: 'exit'; readonly code: number; readonly next: readonly string[] | null }

/** An event as --events and --progress json write it, one per line. */
export type ProgressReport = { readonly time: string; readonly job: string | null } & ProgramEvent

/** A destination of reports. */
export interface ReportSink {
  write(report: ProgressReport): void
  /** Takes a function that returns the number of records read so far. */
  count?(read: () => number): void
  /** Resolves when everything is written. */
  close?(): Promise<void>
}

export function startedOf({ spooled, batches }: JobState, settings?: Settings): Started {
  return {
    type: 'started',
    records: spooled.records,
    complete: spooled.complete,
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
