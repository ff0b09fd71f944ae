import { Writable } from 'node:stream'
import { inFlags } from './in-flags.ts'
import { printable, redacted } from './shown.ts'

export interface TalkStyle {
  /** Messages as JSON lines. */
  readonly json?: boolean
  readonly colour?: boolean
  /** Texts that are never shown. */
  readonly secrets?: readonly string[]
}

/** How long the progress line stays hidden after rows went to another program. */
const KEEP_OFF_MS = 500

type Level = 'error' | 'warn' | 'info'

/** Writes messages to stderr. Text from records cannot move the terminal's cursor, and keys are redacted. */
export class Talk {
  readonly #stderr: Writable
  readonly #quiet: boolean
  readonly #style: TalkStyle
  readonly verbosity: number
  #lastWait = -Infinity
  /** The progress line on the terminal now. */
  #drawn: string | undefined
  #held = 0
  #quietUntil = 0

  constructor(stderr: Writable, quiet: boolean, verbosity: number, style: TalkStyle = {}) {
    this.#stderr = stderr
    this.#quiet = quiet
    this.#style = style
    this.verbosity = verbosity
  }

  /** Always shown, even with -q: warnings, and the command that continues. */
  warn(line: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#write('warn', line, fields)
  }

  info(line: string): void {
    if (!this.#quiet) this.#write('info', line)
  }

  /** Reports the error that ends the program. */
  fail(message: string, code: string | undefined, stack: string | undefined): void {
    if (this.#style.json)
      return this.#write('error', message, { code: code ?? null, ...(stack && { stack }) })
    const name = 'claude-batch-stream:'
    const begin = this.#style.colour ? `\u001b[1;31m${name}\u001b[0m` : name
    const end = this.verbosity > 0 && code !== undefined ? ` [${code}]` : ''
    this.clear()
    this.#stderr.write(`${begin} ${this.#shown(message)}${end}\n`)
    for (const line of stack?.split('\n') ?? []) this.#stderr.write(`    ${this.#shown(line)}\n`)
  }

  /** Shown with -v. */
  detail(line: string): void {
    if (this.verbosity > 0) this.info(line)
  }

  /** A reason to wait, at most once a minute because outages can last hours. */
  wait(line: string, now: number): void {
    if (now - this.#lastWait < 60_000) return this.detail(line)
    this.#lastWait = now
    this.info(line)
  }

  /**
   * Draws the progress line and moves the cursor back to its start, so that whatever the terminal makes of the line when it
   * is resized stays after the cursor and is cleared with it.
   */
  line(text: string): void {
    if (this.#held > 0 || performance.now() < this.#quietUntil || text === this.#drawn) return
    // The terminal is not read, after Ctrl-S for example.
    if (this.#stderr.writableNeedDrain) return
    this.#stderr.write(`\r\u001b[J${text}\r`)
    this.#drawn = text
  }

  /** Keeps the progress line off the terminal until the returned function is called. */
  hold(): () => void {
    this.clear()
    this.#held += 1
    return () => void (this.#held -= 1)
  }

  /**
   * A stream that shares the terminal with the progress line: every write clears the line first. With `keepOff`, the line also
   * stays away for a moment, because the program that reads the stream may print to the same terminal.
   */
  beside(stream: Writable, { keepOff = false }: { readonly keepOff?: boolean } = {}): Writable {
    const shared = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.clear()
        if (keepOff) this.#quietUntil = performance.now() + KEEP_OFF_MS
        stream.write(chunk, done)
      },
    })
    // Each write reports its own failure.
    return shared.on('error', () => {})
  }

  /** Clears the progress line, so that the next output starts on an empty line. */
  clear(): void {
    if (this.#drawn !== undefined) this.#stderr.write('\r\u001b[J')
    this.#drawn = undefined
  }

  #shown(text: string): string {
    return redacted(inFlags(printable(text)), this.#style.secrets)
  }

  #write(level: Level, line: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.clear()
    const message = this.#shown(line)
    const time = new Date().toISOString()
    const output = this.#style.json ? JSON.stringify({ time, level, message, ...fields }) : message
    this.#stderr.write(`${output}\n`)
  }
}
