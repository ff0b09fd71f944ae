import { BatchStreamError } from './errors.ts'

/** Bytes needed to recognise an encoding by its first characters. */
const ENOUGH = 8

/**
 * The start of an input: strips a UTF-8 byte order mark, and rejects UTF-16 and UTF-32, which would otherwise be read as
 * garbage, with the command to convert it. Nothing but NUL bytes is rejected, too: a file was not written completely.
 */
export class TextStart {
  readonly #source: string | undefined
  #held: Buffer | undefined = Buffer.alloc(0)

  constructor(source?: string) {
    this.#source = source
  }

  /**
   * The bytes to continue with; undefined while there are too few to decide.
   * @throws BatchStreamError `CBS_INPUT` for UTF-16, UTF-32 and NUL bytes
   */
  write(chunk: Buffer): Buffer | undefined {
    if (!this.#held) return chunk
    this.#held = Buffer.concat([this.#held, chunk])
    return this.#held.length < ENOUGH ? undefined : this.end()
  }

  /** The bytes still held back when a short input ends. */
  end(): Buffer {
    const bytes = this.#held ?? Buffer.alloc(0)
    this.#held = undefined
    const encoding = foreignEncoding(bytes)
    if (encoding) throw wrongEncoding(encoding, this.#source)
    if (bytes.length > 0 && isNul(bytes)) throw nulBytes(this.#source)
    return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
  }
}

/** The encoding by its byte order mark, or by the zeros between the first (Latin) characters. */
export function foreignEncoding(bytes: Buffer): string | undefined {
  const start = bytes.subarray(0, ENOUGH)
  // The byte order mark of UTF-32LE begins with that of UTF-16LE.
  if (begins(start, [0xff, 0xfe, 0, 0]) || begins(start, [0, 0, 0xfe, 0xff])) return 'UTF-32'
  const [first, second] = start
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return 'UTF-16'
  if (start.length < 4) return undefined
  const zeros = [...start].map(byte => byte === 0)
  if (zeros.every((zero, at) => zero === (at % 4 !== 0))) return 'UTF-32LE'
  if (zeros.every((zero, at) => zero === (at % 4 !== 3))) return 'UTF-32BE'
  if (zeros.every((zero, at) => zero === (at % 2 === 1))) return 'UTF-16LE'
  if (zeros.every((zero, at) => zero === (at % 2 === 0))) return 'UTF-16BE'
  return undefined
}

function begins(bytes: Buffer, mark: readonly number[]): boolean {
  return mark.every((byte, at) => bytes[at] === byte)
}

/** Whether these are NUL bytes only. */
export function isNul(bytes: Buffer): boolean {
  return bytes.every(byte => byte === 0)
}

function nulBytes(source: string | undefined): BatchStreamError {
  const message = `${source ?? 'the input'} begins with NUL bytes, so it is not text: was it written completely?`
  return new BatchStreamError('CBS_INPUT', message, { place: { source, line: 1 } })
}

function wrongEncoding(encoding: string, source: string | undefined): BatchStreamError {
  const convert = `iconv -f ${encoding} -t UTF-8${source === undefined ? '' : ` ${source}`}`
  const message = `${source ?? 'the input'} is ${encoding} and must be UTF-8; convert it first: ${convert}`
  return new BatchStreamError('CBS_INPUT', message, { place: { source, line: 1 } })
}
