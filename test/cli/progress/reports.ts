import type { ProgramEvent, ProgressReport, Started } from '../../../lib/cli/progress/report.ts'
import { after, NOTHING, type RunProgress } from '../../../lib/cli/progress/run-progress.ts'

export const MINUTE = 60_000

export function reported(event: ProgramEvent): ProgressReport {
  return { time: '2026-11-20T12:00:00.000Z', job: 'j', ...event }
}

export function begun(more: Partial<Omit<Started, 'type'>> = {}): ProgramEvent {
  const batching = { batchSize: 10_000, batchEnds: [] }
  return { type: 'started', records: 0, complete: false, batches: [], ...batching, ...more }
}

export function sealedOf(number: number, next: number, requests: number): ProgramEvent {
  const rest = { attempt: 1, records: requests, bytes: 1, hash: '' }
  return { type: 'sealed', number, next, requests, ...rest }
}

export function submittedAt(number: number, at: number): ProgramEvent {
  return { type: 'submitted', number, id: `msgbatch_${number}`, at, adopted: false }
}

export function endedAt(number: number, at: number): ProgramEvent {
  return { type: 'ended', number, counts: null, resultsUrl: null, at }
}

export function fetchedOf(number: number): ProgramEvent {
  return { type: 'fetched', number, lines: 1, bytes: 1, why: null }
}

export function spentOf(spent_usd: number | null, estimate_usd: number | null): ProgramEvent {
  return { type: 'spent', spent_usd, reserved_usd: null, estimate_usd }
}

export function progressAfter(...events: readonly ProgramEvent[]): RunProgress {
  return events.map(reported).reduce(after, NOTHING)
}
