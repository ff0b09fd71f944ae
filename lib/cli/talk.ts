import type { Writable } from 'node:stream'

/** What is said on stderr. Nothing a record holds may move a terminal's cursor. */
export class Talk {
  readonly #stderr: Writable
  readonly #quiet: boolean
  readonly verbosity: number
  #lastWait = -Infinity
  /** The line of progress that stands on the terminal now. */
  #drawn: string | undefined

  constructor(stderr: Writable, quiet: boolean, verbosity: number) {
    this.#stderr = stderr
    this.#quiet = quiet
    this.verbosity = verbosity
  }

  /** Always said, also with -q: errors, and the command that continues. */
  must(line: string): void {
    this.clear()
    this.#stderr.write(`${printable(line)}\n`)
  }

  /**
   * Draws the line of progress. The cursor goes back to its start, so that whatever the terminal makes of the line when it is
   * resized stands behind the cursor, and goes with it.
   */
  line(text: string): void {
    if (text === this.#drawn) return
    this.#stderr.write(`\r\u001b[J${text}\r`)
    this.#drawn = text
  }

  /** Takes the line of progress away, for what is said next. */
  clear(): void {
    if (this.#drawn !== undefined) this.#stderr.write('\r\u001b[J')
    this.#drawn = undefined
  }

  say(line: string): void {
    if (!this.#quiet) this.must(line)
  }

  /** Said with -v. */
  detail(line: string): void {
    if (this.verbosity > 0) this.say(line)
  }

  /** A reason to wait, at most once a minute: an outage lasts hours. */
  wait(line: string, now: number): void {
    if (now - this.#lastWait < 60_000) return this.detail(line)
    this.#lastWait = now
    this.say(line)
  }
}

/** Without control characters, line breaks as blanks. */
export function printable(text: string): string {
  return text.replaceAll(/\s*[\r\n]+\s*/g, ' ').replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '')
}
