import type { TransformCallback } from 'node:stream'
import { callSync } from '../../core/assert-sync.ts'
import { wrapError, type BatchStreamError } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { RecordPage, RecordPageBuilder } from '../../core/record-page.ts'
import { ByteStream } from './byte-stream.ts'
import { failWhenRead } from './fail-when-read.ts'

/** A parser without a stream: bytes are written to it, and records taken until it has none. */
export interface RecordParser {
  write(chunk: Buffer): void
  /** Ends the input. */
  finish(): void
  /**
   * The next record, or with `paged` a page of records; undefined if more bytes are needed.
   * @throws BatchStreamError `CBS_INPUT` if the input cannot be read further
   */
  next(paged?: boolean): SourceRecord | RecordPage | undefined
}

/** What parsers do when their input breaks off. */
export interface BreakOptions {
  /**
   * Called when the input breaks off after some records (truncated gzip or JSON): the stream then ends normally, so that
   * complete records are still answered. Without it the error ends the pipeline.
   */
  readonly onBroken?: ((error: BatchStreamError) => void) | undefined
}

/**
 * The stream around a reader of records. It emits a record only on demand, even in the middle of a chunk, and without a
 * promise.
 */
export class RecordStream extends ByteStream {
  readonly #reader: RecordParser
  readonly #onBroken: BreakOptions['onBroken']
  /** The line of the last record that was read. */
  protected lastLine: number | undefined
  #broken = false
  readonly #builder = new RecordPageBuilder()
  /** What was read after the page that is being emitted. */
  #ahead: SourceRecord | RecordPage | undefined
  /** The error that ends reading, after earlier records were emitted. */
  #failure: { readonly cause: unknown } | undefined
  #waiting: TransformCallback | undefined

  constructor(reader: RecordParser, { onBroken }: BreakOptions = {}) {
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
    // Always called: Transform holds back a `done` that is called while its buffer is full, and only this releases it.
    super._read(size)
  }

  /** Passes bytes to the reader and emits the records; `done` is called when more is needed. */
  protected feed(write: () => void, done: TransformCallback): void {
    if (this.#broken) return done()
    try {
      write()
    } catch (error) {
      return this.fail(error, done)
    }
    this.#give(done)
  }

  /** Ends the stream with an error, after the records read before it. */
  protected fail(error: unknown, done: TransformCallback): void {
    const known = wrapError('CBS_INPUT', 'the input cannot be read', error)
    const isInput = known.code === 'CBS_INPUT'
    if (!this.#onBroken || !isInput || this.lastLine === undefined) return failWhenRead(this, known)
    this.#broken = true
    try {
      callSync('onBroken', this.#onBroken, known)
    } catch (cause) {
      // callSync throws only errors.
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
      // Set before the push, during which the next record may be requested.
      this.#waiting = done
      // Outside the try: an error of the next stage is not a fault of the input.
      if (!this.push(next) || this.#waiting === undefined) return
      this.#waiting = undefined
    }
  }

  /** The next record, or a page of records if the consumer takes pages. */
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

  /** The reader's next item; an error comes after what was read before it. */
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
