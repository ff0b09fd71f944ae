import type { Writable } from 'node:stream'

/** What is said on stderr. Nothing a record holds may move a terminal's cursor. */
export class Talk {
  readonly #stderr: Writable
  readonly #quiet: boolean
  readonly verbosity: number
  #lastWait = -Infinity

  constructor(stderr: Writable, quiet: boolean, verbosity: number) {
    this.#stderr = stderr
    this.#quiet = quiet
    this.verbosity = verbosity
  }

  /** Always said, also with -q: errors, and the command that continues. */
  must(line: string): void {
    this.#stderr.write(`${printable(line)}\n`)
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
