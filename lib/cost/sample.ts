import type { MessageParams } from '../core/flow.ts'
import { GUESS, rateOf, type Calibration, type Counted, type Rate } from './calibration.ts'
import type { RequestParts } from './parts.ts'

export interface TokenSampleOptions {
  /** Counts the tokens of a request; undefined if the counter rejects it. */
  readonly count: (params: MessageParams) => Promise<number | undefined>
  /**
   * Requests counted per kind.
   * @default 100
   */
  readonly size?: number
  /**
   * Bytes of requests that wait to be counted; beyond that they are counted at once.
   * @default 16 MB
   */
  readonly held?: number
}

/** Concurrent calls of the counter. */
const AT_ONCE = 8

interface Chosen {
  /** The requests with the lowest lots form the sample. */
  readonly lot: number
  readonly base: number
  readonly bytes: number
  /** The request, until it is counted. */
  params: MessageParams | undefined
  tokens: number | undefined
}

/** Requests whose tokens follow from their size in the same way. */
interface Kind {
  readonly model: string
  readonly isMedia: boolean
  all: number
  readonly chosen: Chosen[]
}

/**
 * A random sample of requests whose tokens are counted. It is deterministic, and its memory does not depend on the number
 * of requests.
 */
export class Sample {
  readonly #count: TokenSampleOptions['count']
  readonly #size: number
  readonly #held: number
  readonly #kinds = new Map<string, Kind>()
  #bytes = 0

  constructor({ count, size = 100, held = 16_000_000 }: TokenSampleOptions) {
    this.#count = count
    this.#size = size
    this.#held = held
  }

  /** The number of counted requests and of all requests. */
  get counted(): { readonly requests: number; readonly of: number } {
    const kinds = [...this.#kinds.values()]
    return {
      requests: kinds.reduce((sum, kind) => sum + resultsOf(kind).length, 0),
      of: kinds.reduce((sum, { all }) => sum + all, 0),
    }
  }

  /** Considers a request for the sample. It waits only if the request is counted at once. */
  async add(params: MessageParams, parts: RequestParts, bytes: number): Promise<void> {
    // Content that the API adds cannot be counted.
    if (parts.apiContent !== undefined) return
    const kind = this.#kindOf(params.model, parts.media > 0)
    const lot = lotOf(kind.all++)
    if (kind.chosen.length === this.#size && !this.#makeRoom(kind, lot)) return
    const chosen: Chosen = {
      ...{ lot, bytes, params, tokens: undefined },
      base: kind.isMedia ? 1 : parts.text,
    }
    kind.chosen.push(chosen)
    this.#bytes += bytes
    if (this.#bytes > this.#held) await this.#settle(chosen, params)
  }

  /** Counts the rest of the sample and returns the calibration. */
  async calibrate(): Promise<Calibration> {
    const open = [...this.#kinds.values()].flatMap(({ chosen }) => chosen)
    const work = async (): Promise<void> => {
      for (let one = open.pop(); one; one = open.pop())
        if (one.params) await this.#settle(one, one.params)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    const rate = (model: string, isMedia: boolean): Rate | undefined => {
      const kind = this.#kinds.get(keyOf(model, isMedia))
      const results = kind ? resultsOf(kind) : []
      return kind && results.length > 0 ? rateOf(results, kind.all) : undefined
    }
    return {
      text: model => rate(model, false) ?? GUESS.text(model),
      media: model => rate(model, true),
    }
  }

  #kindOf(model: string, isMedia: boolean): Kind {
    const key = keyOf(model, isMedia)
    const known = this.#kinds.get(key)
    if (known) return known
    const kind: Kind = { model, isMedia, all: 0, chosen: [] }
    this.#kinds.set(key, kind)
    return kind
  }

  /** Drops the highest lot if it is higher than this one. */
  #makeRoom({ chosen }: Kind, lot: number): boolean {
    chosen.sort((a, b) => a.lot - b.lot)
    const out = chosen.at(-1)
    if (!out || out.lot < lot) return false
    chosen.pop()
    if (out.params) this.#bytes -= out.bytes
    return true
  }

  async #settle(chosen: Chosen, params: MessageParams): Promise<void> {
    chosen.tokens = await this.#count(params)
    chosen.params = undefined
    this.#bytes -= chosen.bytes
  }
}

function resultsOf({ chosen }: Kind): Counted[] {
  return chosen.flatMap(({ base, tokens }) => (tokens === undefined ? [] : [{ base, tokens }]))
}

function keyOf(model: string, isMedia: boolean): string {
  return `${isMedia} ${model}`
}

/** A deterministic pseudo-random number for a position: the finalizer of MurmurHash3. */
function lotOf(place: number): number {
  let lot = place + 1
  lot = Math.imul(lot ^ (lot >>> 16), 0x85ebca6b)
  lot = Math.imul(lot ^ (lot >>> 13), 0xc2b2ae35)
  return (lot ^ (lot >>> 16)) >>> 0
}
