import type { FailureGroup } from './failures.ts'
import type { ReportFigures } from './figures.ts'
import type { TimeLine } from './time-line.ts'

/** All that a page says of a job. Money is in femtodollars. */
export interface JobReport {
  readonly job: string
  /** What --note said of the job. */
  readonly note: string | undefined
  readonly state: 'finished' | 'running' | 'unfinished'
  /** When this was looked at, and when the job began. */
  readonly madeAt: number
  readonly openedAt: number
  /** Undefined where each record says it, or a module. */
  readonly model: string | undefined
  readonly sources: readonly string[]
  readonly records: number
  /** Whether all of the input is read. */
  readonly isRead: boolean
  readonly timeLine: TimeLine
  readonly figures: ReportFigures
  readonly failures: readonly ShownFailure[]
  readonly estimate: bigint | undefined
  /** What a cap keeps free for what is in flight; undefined where there is no cap. */
  readonly reserved: bigint | undefined
}

export interface ShownFailure extends FailureGroup {
  readonly lines: readonly FailedLine[]
}

/** The beginning of a record that failed, and where it stands in the input. */
export interface FailedLine {
  readonly line: number
  readonly source: string | undefined
  readonly text: string
}
