import { invalid } from './api-error.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** What may come next, outside values that are collected whole. */
type Expecting =
  | 'body'
  | 'first key or end'
  | 'key'
  | 'colon'
  | 'value'
  | 'first request or end'
  | 'request'
  | 'comma or end'
  | 'comma or end of requests'
  | 'nothing'

/** What is being collected. */
type Collecting = 'key' | 'value' | 'request'

/**
 * Splits the body of a create, `{"requests":[...]}`, into the bytes of its requests while it arrives in chunks of any size.
 * It tracks only strings and nesting; whether a request is valid JSON shows when it is parsed.
 */
export class RequestSplitter {
  #expecting: Expecting = 'body'
  #collecting: Collecting | undefined
  #parts: Buffer[] = []
  #depth = 0
  #inString = false
  #escaped = false
  #key = ''
  #isObject = true
  #hasRequests = false
  readonly #otherKeys: string[] = []

  /**
   * Checks the body as a whole after its last byte.
   * @throws ApiError
   */
  end(): void {
    if (!this.#isObject) throw invalid('Input should be a valid dictionary or object')
    if (this.#expecting !== 'nothing') throw notJson('it ends too early')
    const other = this.#otherKeys[0]
    if (!this.#hasRequests) throw invalid('requests: Field required')
    if (other !== undefined) throw invalid(`${other}: Extra inputs are not permitted`)
  }

  /**
   * The requests that end within this chunk.
   * @throws ApiError if the body is not JSON
   */
  *push(chunk: Buffer): Generator<Buffer> {
    let at = 0
    while (at < chunk.length) {
      if (this.#collecting === undefined) {
        if (!this.#step(chunk.readUInt8(at))) at++
        continue
      }
      const end = this.#scan(chunk, at)
      // Only requests and keys are kept; the value of an unexpected key may have any size.
      if (this.#collecting !== 'value' && end > at) this.#parts.push(chunk.subarray(at, end))
      at = end
      if (this.#collecting === undefined || end === chunk.length) continue
      const bytes =
        this.#parts.length === 1 && this.#parts[0] ? this.#parts[0] : Buffer.concat(this.#parts)
      this.#parts = []
      const collected = this.#collecting
      this.#collecting = undefined
      if (collected === 'request') {
        this.#expecting = 'comma or end of requests'
        yield bytes
      } else if (collected === 'key') {
        this.#key = bytes.toString()
        this.#expecting = 'colon'
        at++
      } else {
        this.#expecting = 'comma or end'
      }
    }
  }

  /** The end of the value being collected: after its last byte, or the chunk's end. */
  #scan(chunk: Buffer, from: number): number {
    const isKey = this.#collecting === 'key'
    let depth = this.#depth
    let inString = this.#inString
    let escaped = this.#escaped
    let at = from
    for (; at < chunk.length; at++) {
      const byte = chunk[at]
      if (inString) {
        if (escaped) escaped = false
        else if (byte === BACKSLASH) escaped = true
        else if (byte === QUOTE) {
          inString = false
          if (isKey) break
        }
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++
      else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (depth === 0) break
        depth--
      } else if (byte === COMMA && depth === 0) break
    }
    this.#depth = depth
    this.#inString = inString
    this.#escaped = escaped
    return at
  }

  /** Processes one byte between values. Returns true if it begins a value and must be scanned again. */
  #step(byte: number): boolean {
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return false
    switch (this.#expecting) {
      case 'body':
        return this.#begin(byte)
      case 'first key or end':
        if (byte === CLOSE_OBJECT) return this.#expect('nothing')
        return this.#beginKey(byte)
      case 'key':
        return this.#beginKey(byte)
      case 'colon':
        if (byte === COLON) return this.#expect('value')
        break
      case 'value':
        return this.#beginValue(byte)
      case 'first request or end':
        if (byte === CLOSE_ARRAY) return this.#expect('comma or end')
        return this.#collect('request')
      case 'request':
        return this.#collect('request')
      case 'comma or end of requests':
        if (byte === COMMA) return this.#expect('request')
        if (byte === CLOSE_ARRAY) return this.#expect('comma or end')
        break
      case 'comma or end':
        if (byte === COMMA) return this.#expect('key')
        if (byte === CLOSE_OBJECT) return this.#expect('nothing')
        break
      case 'nothing':
        if (!this.#isObject) return false
    }
    throw notJson(`unexpected ${JSON.stringify(String.fromCharCode(byte))}`)
  }

  #expect(next: Expecting): false {
    this.#expecting = next
    return false
  }

  #collect(what: Collecting): true {
    this.#collecting = what
    return true
  }

  #begin(byte: number): false {
    this.#isObject = byte === OPEN_OBJECT
    return this.#expect(this.#isObject ? 'first key or end' : 'nothing')
  }

  #beginKey(byte: number): false {
    if (byte !== QUOTE) throw notJson('a key must be a string')
    this.#collecting = 'key'
    this.#inString = true
    return false
  }

  #beginValue(byte: number): boolean {
    if (this.#key !== 'requests') {
      this.#otherKeys.push(this.#key)
      return this.#collect('value')
    }
    if (byte !== OPEN_ARRAY) throw invalid('requests: Input should be a valid list')
    this.#hasRequests = true
    return this.#expect('first request or end')
  }
}

/** Parses JSON as the API does. JSON.parse accepts half of a surrogate pair (`\ud83d`); the API rejects the whole body. */
export function parseJson(bytes: Buffer): unknown {
  const text = bytes.toString()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    // JSON.parse throws only SyntaxErrors.
    throw notJson((cause as SyntaxError).message)
  }
  const at = halfOfPairIn(text)
  if (at !== undefined)
    throw notJson(`no low surrogate in string: line 1 column ${at + 1} (char ${at})`)
  return value
}

/** A whole pair, half of one (the group), or any other escape. */
const ESCAPES =
  /\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(\\u[dD][89a-fA-F][\da-fA-F]{2})|\\./g

function halfOfPairIn(json: string): number | undefined {
  if (!json.includes('\\u')) return undefined
  for (const { 1: half, index } of json.matchAll(ESCAPES)) if (half !== undefined) return index
  return undefined
}

/** The API's message for a body that cannot be parsed. */
function notJson(why: string): Error {
  return invalid(`The request body is not valid JSON: ${why}`)
}
