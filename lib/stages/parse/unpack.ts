// Takes bytes as a file has them, gives bytes to parse; next comes a parser.
import { Transform, type TransformCallback } from 'node:stream'
import { callSync } from '../../core/assert-sync.ts'
import { BatchStreamError, wrapError } from '../../core/errors.ts'
import { typed, type Stage } from '../../core/stage.ts'
import { ByteStream } from './byte-stream.ts'
import { failWhenRead } from './fail-when-read.ts'
import { tellNote, type NoteOptions } from './note.ts'
import { MAGIC_BYTES, packingOf, unpacker, type Zlib } from './packed.ts'

/** Options of `unpack`. */
export interface UnpackOptions extends NoteOptions {
  /**
   * The file's name in errors.
   * @default undefined, a pipe
   */
  readonly source?: string | undefined
  /**
   * The decompressor.
   * @default node:zlib
   */
  readonly zlib?: Zlib | undefined
  /**
   * Called once if the input decompresses to more than 100 times its size and 100 MB: it may be a zip bomb, or just very
   * regular.
   */
  readonly onHighCompressionRatio?: ((sentence: string) => void) | undefined
}

const BOMB_RATIO = 100
const BOMB_BYTES = 100_000_000

/**
 * Takes bytes and emits bytes. Decompresses gzip (with any number of members) and zstd, recognised by their first bytes; other input passes unchanged.
 * Memory stays constant at any ratio. Truncated or damaged input yields what could be read and then fails with `CBS_INPUT`,
 * as does zstd if Node cannot decompress it (before 22.15). Bytes after gzip data (zero padding or anything else) are
 * ignored as gzip(1) does, and `onNote` is called.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function unpack(options: UnpackOptions = {}): Stage<Uint8Array | string, Uint8Array> {
  return typed(new Unpack(options))
}

class Unpack extends ByteStream {
  readonly #options: UnpackOptions
  #start: Buffer | undefined = Buffer.alloc(0)
  #inner: Transform | undefined
  #packed = 0
  #unpacked = 0
  #told = false

  constructor(options: UnpackOptions) {
    super()
    this.#options = options
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (!this.#start) return this.#pass(chunk, done)
    this.#start = Buffer.concat([this.#start, chunk])
    if (this.#start.length < MAGIC_BYTES) return done()
    this.#begin(this.#start, done)
  }

  override _flush(done: TransformCallback): void {
    if (this.#start) return this.#begin(this.#start, () => this.#end(done))
    this.#end(done)
  }

  override _read(size: number): void {
    this.#inner?.resume()
    super._read(size)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner?.destroy()
    done(error)
  }

  #begin(start: Buffer, done: TransformCallback): void {
    this.#start = undefined
    const packing = packingOf(start)
    if (packing) {
      try {
        const onTrailing = (count: number, onlyZeros: boolean): void =>
          this.#tellTrailing(count, onlyZeros)
        this.#inner = unpacker(packing, { ...this.#options, onTrailing })
      } catch (error) {
        return done(wrapError('CBS_INPUT', 'the input cannot be unpacked', error))
      }
      this.#inner.on('data', (piece: Buffer) => {
        this.#weigh(piece)
        if (!this.push(piece)) this.#inner?.pause()
      })
      this.#inner.on('error', cause => this.#fail(packing, cause))
    }
    this.#pass(start, done)
  }

  #tellTrailing(count: number, onlyZeros: boolean): void {
    const what = `${count} ${onlyZeros ? 'zero ' : ''}${count === 1 ? 'byte' : 'bytes'}`
    const message = `${this.#options.source ?? 'the input'} has ${what} after its gzip data, which are ignored`
    try {
      tellNote(this.#options, { type: 'trailing_bytes', message })
    } catch (error) {
      this.destroy(wrapError('CBS_STAGE', '`onNote` failed', error))
    }
  }

  #weigh(piece: Buffer): void {
    this.#unpacked += piece.length
    if (this.#told || this.#unpacked < BOMB_BYTES || this.#unpacked < this.#packed * BOMB_RATIO)
      return
    this.#told = true
    const { source = 'the input', onHighCompressionRatio } = this.#options
    if (!onHighCompressionRatio) return
    try {
      callSync(
        'onHighCompressionRatio',
        onHighCompressionRatio,
        `${source} unpacks to more than ${BOMB_RATIO} times its size`,
      )
    } catch (cause) {
      // callSync throws only errors.
      this.destroy(cause as Error)
    }
  }

  #pass(chunk: Buffer, done: TransformCallback): void {
    if (!this.#inner) {
      this.push(chunk)
      return done()
    }
    this.#packed += chunk.length
    // An error also arrives as an event, after what was decompressed before it.
    this.#inner.write(chunk, error => error ?? done())
  }

  #end(done: TransformCallback): void {
    const inner = this.#inner
    // It ends by itself if other bytes follow the compressed data.
    if (!inner || inner.readableEnded) return done()
    inner.once('end', () => done())
    // Ending reports missing bytes, which would discard what is still buffered.
    const end = (): unknown => (inner.readableLength === 0 ? inner.end() : inner.once('data', end))
    end()
  }

  #fail(packing: string, cause: NodeJS.ErrnoException): void {
    const { source } = this.#options
    const what = cause.code === 'Z_BUF_ERROR' ? 'break off' : `are damaged (${cause.message})`
    const where = `within its first ${this.#packed} bytes`
    const message = `the ${packing} bytes of ${source ?? 'the input'} ${what} ${where}; get the whole file and run it again`
    const error = new BatchStreamError('CBS_INPUT', message, { cause, place: { source } })
    failWhenRead(this, error)
  }
}
