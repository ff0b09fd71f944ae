import { BatchStreamError } from './errors.ts'

/** Bytes needed to recognise an encoding by its first characters. */
const ENOUGH = 8

/**
 * The start of an input: strips a UTF-8 byte order mark, and rejects UTF-16, which would otherwise be read as garbage, with
 * the command to convert it.
 */
export class TextStart {
  readonly #source: string | undefined
  #held: Buffer | undefined = Buffer.alloc(0)

  constructor(source?: string) {
    this.#source = source
  }

  /**
   * The bytes to continue with; undefined while there are too few to decide.
   * @throws BatchStreamError `CBS_INPUT` for UTF-16
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
    return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
  }
}

/** The encoding by its byte order mark, or by the zeros between the first (Latin) characters. */
export function foreignEncoding(bytes: Buffer): string | undefined {
  const [first, second] = bytes
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff)) return 'UTF-16'
  const start = bytes.subarray(0, ENOUGH)
  if (start.length < 4) return undefined
  const zeros = [...start].map(byte => byte === 0)
  if (zeros.every((zero, at) => zero === (at % 2 === 1))) return 'UTF-16LE'
  if (zeros.every((zero, at) => zero === (at % 2 === 0))) return 'UTF-16BE'
  return undefined
}

function wrongEncoding(encoding: string, source: string | undefined): BatchStreamError {
  const convert = `iconv -f ${encoding} -t UTF-8${source === undefined ? '' : ` ${source}`}`
  const message = `${source ?? 'the input'} is ${encoding} and must be UTF-8; convert it first: ${convert}`
  return new BatchStreamError('CBS_INPUT', message, { place: { source, line: 1 } })
}
