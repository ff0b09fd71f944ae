import type { Result } from '../results/result.ts'
import type { RunEvent } from './run-event.ts'

/** Observes whole runs; OpenTelemetry uses it. What it throws becomes a process warning. */
export interface RunObserver {
  /** Called when a run begins; what it returns observes the rest. */
  begin(run: { readonly job: string }): RunObservation
}

/** Observes one run. */
export interface RunObservation {
  event(event: RunEvent): void
  result(result: Result<object>): void
  /** Called once, with what ended the run early, if anything did. */
  end(cause: unknown): void
}
