import { CUSTOM_ID, MAX_REQUESTS } from '../core/limits.ts'
import { invalid } from './api-error.ts'
import { parseJson } from './create-body.ts'

/** A request of a create, as far as the API checks it before replying. */
export interface AcceptedRequest {
  readonly custom_id: string
  readonly params: Readonly<Record<string, unknown>>
}

/** Checks the requests of one create in order, with the API's messages. `params` are checked later, per result. */
export class CreateCheck {
  readonly #ids = new Set<string>()
  #count = 0

  get count(): number {
    return this.#count
  }

  /**
   * Checks the bytes of the next request.
   * @throws ApiError that rejects the whole create
   */
  take(bytes: Buffer): void {
    const request = parseJson(bytes)
    const at = `requests.${this.#count++}`
    if (this.#count > MAX_REQUESTS) return
    if (!isObject(request)) throw invalid(`${at}: Input should be a valid dictionary or object`)
    for (const key in request) {
      if (key !== 'custom_id' && key !== 'params')
        throw invalid(`${at}.${key}: Extra inputs are not permitted`)
    }
    this.#takeId(request['custom_id'], at)
    const params = request['params']
    if (params === undefined) throw invalid(`${at}.params: Field required`)
    if (!isObject(params)) throw invalid(`${at}.params: Input should be a valid dictionary`)
  }

  #takeId(id: unknown, at: string): void {
    const wrong = wrongId(id)
    if (wrong !== undefined) throw invalid(`${at}.custom_id: ${wrong}`)
    const size = this.#ids.size
    // wrongId() ensured that it is a string.
    if (this.#ids.add(id as string).size === size)
      throw invalid(`${at}.custom_id: custom_id must be unique`)
  }

  /**
   * Checks the number of requests.
   * @throws ApiError
   */
  end(): void {
    if (this.#count === 0)
      throw invalid('requests: List should have at least 1 item after validation, not 0')
    if (this.#count > MAX_REQUESTS) {
      throw invalid(
        `requests: List should have at most ${MAX_REQUESTS} items after validation, not ${this.#count}`,
      )
    }
  }
}

/** The API's message for an invalid custom_id; undefined for a valid one. */
function wrongId(id: unknown): string | undefined {
  if (id === undefined) return 'Field required'
  if (typeof id !== 'string') return 'Input should be a valid string'
  if (id.length === 0) return 'String should have at least 1 character'
  if (id.length > 64) return 'String should have at most 64 characters'
  if (!CUSTOM_ID.test(id)) return `String should match pattern '${CUSTOM_ID.source}'`
  return undefined
}

export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a value is a JSON object: not an array, not null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
