import { Transform, type TransformCallback } from 'node:stream'
import { crc32 } from 'node:zlib'
import { failWhenRead } from './fail-when-read.ts'

/** Inflates the body of a gzip member, and counts how many input bytes belonged to it. */
export type Inflater = Transform & {
  /** Compressed bytes that were consumed. */
  readonly bytesWritten: number
}

export interface GunzipOptions {
  createInflateRaw(): Inflater
  /** Called at the end of the input if other bytes follow the last member. */
  onTrailing(count: number, onlyZeros: boolean): void
}

const FIXED_HEADER = 10
const TRAILER = 8
/** The longest valid header: an extra field of 64 KB, a name and a comment. */
const LONGEST_HEADER = 1_000_000
const HAS_EXTRA = 4
const HAS_NAME = 8
const HAS_COMMENT = 16
const HAS_CHECKSUM = 2
const RESERVED = 0xe0

/**
 * Gunzip (RFC 1952) that behaves like gzip(1): it reads one member after another and ignores what follows the last one,
 * such as zero padding. node:zlib would treat such bytes as a damaged member and lose data. A truncated last member is an
 * error with the code `Z_BUF_ERROR`.
 */
export class Gunzip extends Transform {
  readonly #options: GunzipOptions
  #state: 'header' | 'body' | 'trailer' | 'behind' = 'header'
  /** The start of a header or trailer. */
  #held: Buffer = Buffer.alloc(0)
  #members = 0
  #inflater: Inflater | undefined
  #crc = 0
  #size = 0
  #trailing = 0
  #onlyZeros = true

  constructor(options: GunzipOptions) {
    super()
    this.#options = options
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    switch (chunk.length === 0 ? 'nothing' : this.#state) {
      case 'header':
        return this.#takeHeader(chunk, done)
      case 'body':
        return this.#takeBody(chunk, done)
      case 'trailer':
        return this.#takeTrailer(chunk, done)
      case 'behind':
        this.#trailing += chunk.length
        this.#onlyZeros &&= chunk.every(byte => byte === 0)
        return done()
      case 'nothing':
        return done()
    }
  }

  override _flush(done: TransformCallback): void {
    const isWhole = this.#state === 'behind' || (this.#members > 0 && this.#isBetween())
    if (!isWhole) return this.#fail('Z_BUF_ERROR', 'unexpected end of file')
    if (this.#trailing > 0) this.#options.onTrailing(this.#trailing, this.#onlyZeros)
    done()
  }

  override _read(size: number): void {
    this.#inflater?.resume()
    super._read(size)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inflater?.destroy()
    done(error)
  }

  #isBetween(): boolean {
    return this.#state === 'header' && this.#held.length === 0
  }

  #takeHeader(chunk: Buffer, done: TransformCallback): void {
    const bytes = Buffer.concat([this.#held, chunk])
    if (bytes[0] !== 0x1f || (bytes.length > 1 && bytes[1] !== 0x8b)) {
      this.#held = Buffer.alloc(0)
      this.#state = 'behind'
      return this._transform(bytes, 'utf8', done)
    }
    const length = headerLength(bytes)
    const isWrong = (bytes[2] ?? 8) !== 8 || ((bytes[3] ?? 0) & RESERVED) !== 0
    if (isWrong || (length === undefined && bytes.length > LONGEST_HEADER))
      return this.#fail('Z_DATA_ERROR', 'incorrect header check')
    this.#held = bytes
    if (length === undefined) return done()
    this.#beginBody()
    this._transform(bytes.subarray(length), 'utf8', done)
  }

  #beginBody(): void {
    this.#held = Buffer.alloc(0)
    this.#state = 'body'
    this.#members += 1
    this.#crc = 0
    this.#size = 0
    const inflater = this.#options.createInflateRaw()
    this.#inflater = inflater
    inflater.on('data', (piece: Buffer) => {
      this.#crc = crc32(piece, this.#crc)
      this.#size = (this.#size + piece.length) % 2 ** 32
      if (!this.push(piece)) inflater.pause()
    })
    inflater.on('error', cause => failWhenRead(this, cause))
  }

  #takeBody(chunk: Buffer, done: TransformCallback): void {
    // It exists in this state.
    const inflater = this.#inflater as Inflater
    const before = inflater.bytesWritten
    inflater.write(chunk, () => {
      const taken = inflater.bytesWritten - before
      if (taken === chunk.length) return done()
      const ended = (): void => {
        inflater.destroy()
        this.#inflater = undefined
        this.#state = 'trailer'
        this._transform(chunk.subarray(taken), 'utf8', done)
      }
      // The bytes of the next member must wait for the end of this one.
      if (inflater.readableEnded) ended()
      else inflater.once('end', ended)
    })
  }

  #takeTrailer(chunk: Buffer, done: TransformCallback): void {
    const bytes = Buffer.concat([this.#held, chunk])
    this.#held = bytes
    if (bytes.length < TRAILER) return done()
    if (bytes.readUInt32LE(0) !== this.#crc)
      return this.#fail('Z_DATA_ERROR', 'incorrect data check')
    if (bytes.readUInt32LE(4) !== this.#size)
      return this.#fail('Z_DATA_ERROR', 'incorrect length check')
    this.#held = Buffer.alloc(0)
    this.#state = 'header'
    this._transform(bytes.subarray(TRAILER), 'utf8', done)
  }

  #fail(code: string, message: string): void {
    failWhenRead(this, Object.assign(new Error(message), { code }))
  }
}

/** The length of a member's header; undefined while it is incomplete. */
function headerLength(bytes: Buffer): number | undefined {
  if (bytes.length < FIXED_HEADER) return undefined
  // There are more bytes than this index.
  const flags = bytes[3] as number
  let at = FIXED_HEADER
  if (flags & HAS_EXTRA) {
    if (bytes.length < at + 2) return undefined
    at += 2 + bytes.readUInt16LE(at)
  }
  for (const text of [HAS_NAME, HAS_COMMENT]) {
    if (!(flags & text)) continue
    const zero = bytes.indexOf(0, at)
    if (zero === -1) return undefined
    at = zero + 1
  }
  if (flags & HAS_CHECKSUM) at += 2
  return at <= bytes.length ? at : undefined
}
