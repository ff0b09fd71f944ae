import type { Clock } from '../../core/clock.ts'
import type { Io } from '../io.ts'
import type { Talk } from '../talk.ts'
import { lineOf } from './line.ts'
import { Pauses } from './pauses.ts'
import type { Report, Sink } from './report.ts'
import { after, NOTHING } from './standing.ts'

/** Five times a second at most; once where nothing happens, since ages grow. */
const BUSY_MS = 200
const IDLE_MS = 1000
const COLUMNS = 80

/** Progress on a terminal: one line that is drawn again as things change. */
export class Bar implements Sink {
  readonly #stderr: Io['stderr']
  readonly #talk: Talk
  readonly #clock: Clock
  readonly #pauses: Pauses
  readonly #onResize: () => void = () => this.#wake()
  #standing = NOTHING
  /** Something has changed since the line was drawn. */
  #stale = false
  #idle = false
  #read: () => number = () => 0

  constructor(stderr: Io['stderr'], talk: Talk, clock: Clock) {
    this.#stderr = stderr
    this.#talk = talk
    this.#clock = clock
    this.#pauses = new Pauses(clock)
  }

  /** Records are counted as they come, without an event for each. */
  count(read: () => number): void {
    this.#read = read
  }

  tell(report: Report): void {
    if (report.type === 'exit') return this.#end()
    this.#standing = after(this.#standing, report)
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
    const records = Math.max(this.#standing.records, this.#read())
    // The last column stays free: a terminal may wrap when it is filled.
    const width = (this.#stderr.columns || COLUMNS) - 1
    this.#talk.line(lineOf({ ...this.#standing, records }, this.#clock.now(), width))
  }

  #end(): void {
    this.#pauses.end()
    this.#stderr.off('resize', this.#onResize)
    this.#talk.clear()
  }
}
