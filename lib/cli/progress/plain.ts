import type { Clock } from '../../core/clock.ts'
import type { Talk } from '../talk.ts'
import { count, several } from '../../report/words.ts'
import { lineOf, span } from './line.ts'
import { Pauses } from './pauses.ts'
import type { ProgressReport, ReportSink } from './report.ts'
import { after, agesOf, NOTHING, type RunProgress } from './run-progress.ts'

const MINUTE_MS = 60_000

/** Progress without redrawing: a line for each important event, and one a minute otherwise. */
export class Plain implements ReportSink {
  readonly #talk: Talk
  readonly #clock: Clock
  readonly #pauses: Pauses
  #progress = NOTHING
  #saidAt = -Infinity

  constructor(talk: Talk, clock: Clock) {
    this.#talk = talk
    this.#clock = clock
    this.#pauses = new Pauses(clock)
  }

  write(report: ProgressReport): void {
    if (report.type === 'exit') return this.#pauses.end()
    const line = wordsOf(report, this.#progress)
    this.#progress = after(this.#progress, report)
    if (line !== undefined) this.#say(line)
    if (report.type === 'started') void this.#run()
  }

  async #run(): Promise<void> {
    this.#saidAt = this.#clock.elapsed()
    while (!this.#pauses.over) {
      const quiet = this.#clock.elapsed() - this.#saidAt
      await this.#pauses.take(Math.max(1, MINUTE_MS - quiet))
      const now = this.#clock.now()
      const isTime = this.#clock.elapsed() - this.#saidAt >= MINUTE_MS && !this.#pauses.over
      if (!isTime) continue
      if (agesOf(this.#progress, now).length > 0)
        this.#say(`waiting: ${lineOf(this.#progress, now)}`)
      else this.#saidAt = this.#clock.elapsed()
    }
  }

  #say(line: string): void {
    this.#saidAt = this.#clock.elapsed()
    this.#talk.info(line)
  }
}

/** An important event in words. */
export function wordsOf(report: ProgressReport, before: RunProgress): string | undefined {
  switch (report.type) {
    case 'spooled':
      if (before.complete || !report.complete) return undefined
      return `${several(report.records, 'record')} read`
    case 'split': {
      const parts = report.into.map(
        ({ number, requests }) => `${number} (${several(requests, 'request')})`,
      )
      return parts.length === 0
        ? undefined
        : `batch ${report.number}: split into batches ${parts.join(' and ')}`
    }
    case 'submitted': {
      const requests = before.open.get(report.number)?.requests ?? 0
      const what = report.adopted ? 'found as' : 'submitted as'
      return `batch ${report.number}: ${several(requests, 'request')} ${what} ${report.id}`
    }
    case 'ended': {
      const since = before.open.get(report.number)?.since
      const took = since === undefined || since === null ? '' : ` after ${span(report.at - since)}`
      return `batch ${report.number}: ended${took}`
    }
    case 'rows':
      return `batch ${report.number}: rows written, ${count(report.rows)} in total`
    default:
      return undefined
  }
}
