import type { TransformCallback } from 'node:stream'
import { callSync } from '../../core/assert-sync.ts'
import { wrapError, type BatchStreamError } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { RecordPage, RecordPageBuilder } from '../../core/record-page.ts'
import { ByteStream } from './byte-stream.ts'
import { failWhenRead } from './fail-when-read.ts'

/** What a parser is without its stream: bytes are written to it, records are taken from it until it has none. */
export interface RecordReader {
  write(chunk: Buffer): void
  /** Says that the input is at its end. */
  finish(): void
  /** The next record, or, where they are asked for, a page of records; undefined when it needs more bytes. Throws `CBS_INPUT` where the input cannot be read on. */
  next(paged?: boolean): SourceRecord | RecordPage | undefined
}

/** What every parser does when its input breaks off. */
export interface BreakOptions {
  /**
   * Called when the input breaks off after records were read (a cut gzip, a cut JSON array): the stream then ends as if
   * the input had ended there, so that what was read whole is still answered. Without it the error ends the pipeline.
   */
  readonly onBroken?: ((error: BatchStreamError) => void) | undefined
}

/**
 * The stream around a reader: bytes -> SourceRecord. It gives a record only when the reader of the stream takes it, also
 * in the middle of a chunk, and costs no promise for it.
 */
export class RecordStream extends ByteStream {
  readonly #reader: RecordReader
  readonly #onBroken: BreakOptions['onBroken']
  /** The line of the last record that was read. */
  protected lastLine: number | undefined
  #broken = false
  readonly #builder = new RecordPageBuilder()
  /** What was read and comes behind the page that is being given. */
  #ahead: SourceRecord | RecordPage | undefined
  /** Why nothing more can be read, once what was read before has been given. */
  #failure: { readonly cause: unknown } | undefined
  #waiting: TransformCallback | undefined

  constructor(reader: RecordReader, { onBroken }: BreakOptions = {}) {
    super({ readableObjectMode: true })
    this.#reader = reader
    this.#onBroken = onBroken
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.feed(() => this.#reader.write(chunk), done)
  }

  override _flush(done: TransformCallback): void {
    this.feed(() => this.#reader.finish(), done)
  }

  override _read(size: number): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) this.#give(waiting)
    // Also then: Transform holds a `done` back that is called while its buffer is still full, and only this frees it.
    super._read(size)
  }

  /** Gives the reader its next bytes, and gives the records on; `done` is called when it needs more. */
  protected feed(write: () => void, done: TransformCallback): void {
    if (this.#broken) return done()
    try {
      write()
    } catch (error) {
      return this.fail(error, done)
    }
    this.#give(done)
  }

  /** Ends the stream with an error, after the records that were read before it. */
  protected fail(error: unknown, done: TransformCallback): void {
    const known = wrapError('CBS_INPUT', 'the input cannot be read', error)
    const isInput = known.code === 'CBS_INPUT'
    if (!this.#onBroken || !isInput || this.lastLine === undefined) return failWhenRead(this, known)
    this.#broken = true
    try {
      callSync('onBroken', this.#onBroken, known)
    } catch (cause) {
      // callSync throws errors only.
      this.destroy(cause as Error)
      return
    }
    this.push(null)
    done()
  }

  #give(done: TransformCallback): void {
    while (!this.destroyed) {
      let next: SourceRecord | RecordPage | undefined
      try {
        next = this.#next()
      } catch (error) {
        return this.fail(error, done)
      }
      if (!next) return done()
      // Set before the push, in which the reader may ask for the next record already.
      this.#waiting = done
      // Outside the try: what the next stage throws is no fault of the input.
      if (!this.push(next) || this.#waiting === undefined) return
      this.#waiting = undefined
    }
  }

  /** The next record, or a page of records where the reader of the stream takes pages. */
  #next(): SourceRecord | RecordPage | undefined {
    const ahead = this.#ahead
    if (!this.givesPages) {
      this.#ahead = undefined
      return ahead ?? this.#read(false)
    }
    const builder = this.#builder
    for (;;) {
      const next = this.#ahead ?? this.#read(true)
      this.#ahead = undefined
      const isRecord = next && !(next instanceof RecordPage) && next.problem === undefined
      if (isRecord && builder.hasRoom(next.raw.length, next.source)) builder.add(next)
      else {
        if (builder.isEmpty) return next
        this.#ahead = next
        return builder.take()
      }
    }
  }

  /** What the reader has next; its error comes after what was read before it. */
  #read(paged: boolean): SourceRecord | RecordPage | undefined {
    try {
      if (this.#failure) throw this.#failure.cause
      const next = this.#reader.next(paged)
      if (next) this.lastLine = next instanceof RecordPage ? next.lines.at(-1) : next.line
      return next
    } catch (cause) {
      if (this.#builder.isEmpty) throw cause
      this.#failure = { cause }
      return undefined
    }
  }
}
