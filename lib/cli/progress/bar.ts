import type { Clock } from '../../core/clock.ts'
import type { Io } from '../io.ts'
import type { Talk } from '../talk.ts'
import { lineOf } from './line.ts'
import { Pauses } from './pauses.ts'
import type { ProgressReport, ReportSink } from './report.ts'
import { after, NOTHING } from './run-progress.ts'

/** Redraws at most five times a second, and once a second when idle because ages grow. */
const BUSY_MS = 200
const IDLE_MS = 1000
const COLUMNS = 80

/** Progress on a terminal: one line that is redrawn as things change. */
export class ProgressBar implements ReportSink {
  readonly #stderr: Io['stderr']
  readonly #talk: Talk
  readonly #clock: Clock
  readonly #pauses: Pauses
  readonly #onResize: () => void = () => this.#wake()
  #progress = NOTHING
  /** Whether something changed since the line was drawn. */
  #stale = false
  #idle = false
  #read: () => number = () => 0

  constructor(stderr: Io['stderr'], talk: Talk, clock: Clock) {
    this.#stderr = stderr
    this.#talk = talk
    this.#clock = clock
    this.#pauses = new Pauses(clock)
  }

  /** Reads the number of records on each redraw, so that no event per record is needed. */
  count(read: () => number): void {
    this.#read = read
  }

  write(report: ProgressReport): void {
    if (report.type === 'exit') return this.#end()
    this.#progress = after(this.#progress, report)
    if (report.type === 'started') {
      this.#stderr.on('resize', this.#onResize)
      void this.#run()
    } else this.#wake()
  }

  #wake(): void {
    this.#stale = true
    if (this.#idle) this.#pauses.cut()
  }

  async #run(): Promise<void> {
    while (!this.#pauses.over) {
      this.#stale = false
      this.#draw()
      await this.#pauses.take(BUSY_MS)
      this.#idle = true
      if (!this.#stale) await this.#pauses.take(IDLE_MS - BUSY_MS)
      this.#idle = false
    }
  }

  #draw(): void {
    const records = Math.max(this.#progress.records, this.#read())
    // The last column stays free: some terminals wrap when it is filled.
    const width = (this.#stderr.columns || COLUMNS) - 1
    this.#talk.line(lineOf({ ...this.#progress, records }, this.#clock.now(), width))
  }

  #end(): void {
    this.#pauses.end()
    this.#stderr.off('resize', this.#onResize)
    this.#talk.clear()
  }
}
