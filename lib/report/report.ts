import type { BatchRows } from './batch-rows.ts'
import type { FailureGroup } from './failures.ts'
import type { ReportFigures } from './figures.ts'
import type { TimeLine } from './time-line.ts'

/** The content of a report. Amounts are in femtodollars. */
export interface JobReport {
  readonly job: string
  /** The text of `--note`. */
  readonly note: string | undefined
  readonly state: 'finished' | 'running' | 'unfinished'
  /** When the report was made. */
  readonly madeAt: number
  /** When the job started. */
  readonly openedAt: number
  /** Undefined if records or a template module choose it. */
  readonly model: string | undefined
  readonly sources: readonly string[]
  readonly records: number
  /** Whether the whole input was read. */
  readonly isRead: boolean
  /** What its requests have in common. */
  readonly request: ReportRequest
  readonly timeLine: TimeLine
  readonly batches: BatchRows
  readonly figures: ReportFigures
  readonly failures: readonly ShownFailure[]
  readonly estimate: bigint | undefined
  /** Reserved for batches in flight under a cap; undefined without a cap. */
  readonly reserved: bigint | undefined
}

/** Names with their texts or values, in the order in which they are shown. */
export interface ReportRequest {
  /** Texts of several lines: the prompt, the system prompt, the schema. */
  readonly texts: readonly (readonly [name: string, text: string])[]
  readonly parameters: readonly (readonly [name: string, value: string])[]
}

export interface ShownFailure extends FailureGroup {
  readonly lines: readonly FailedLine[]
}

/** The beginning of a failed record, and its position in the input. */
export interface FailedLine {
  readonly line: number
  readonly source: string | undefined
  readonly text: string
}
