import type { Result } from '../results/result.ts'
import type { RunEvent } from './run-event.ts'

/** Observes whole runs; OpenTelemetry uses it. Exceptions become process warnings. */
export interface RunObserver {
  /** Called when a run begins; the returned object observes it. */
  begin(run: { readonly job: string }): RunObservation
}

/** Observes one run. */
export interface RunObservation {
  /** Called with each event of the run (docs/events.md). */
  event(event: RunEvent): void
  /** Called with each result, before the loop receives it. */
  result(result: Result<object>): void
  /** Called once, with the error that ended the run early, if any. */
  end(cause: unknown): void
}
