import type { PartAssignment } from './split-batch.ts'

/** Requests of a refused batch that are sent alone, spread evenly, to find out whether the cause is common to all. */
export const PROBES = 8

/** After so many requests of one batch were refused by name, the cause may be common: then it is probed. */
export const NAMED_REFUSALS = 8

/** How a refused batch is split: each probe is a part of its own, and so is each run of requests between two of them. */
export interface ProbePlan {
  readonly partOf: (position: number) => PartAssignment
  /** The indexes of the parts that are probes. */
  readonly probes: readonly number[]
}

export function planProbes(requests: number): ProbePlan {
  const count = Math.min(PROBES, requests)
  const positions = Array.from({ length: count }, (_, i) => Math.floor((i * requests) / count))
  const starts: number[] = []
  const probes: number[] = []
  for (const position of positions) {
    if (starts.at(-1) !== position) starts.push(position)
    probes.push(starts.length - 1)
    if (position + 1 < requests) starts.push(position + 1)
  }
  return { partOf: position => starts.findLastIndex(start => start <= position), probes }
}

/** What follows from a reply to a request that was sent alone. */
export type RefusalVerdict =
  /** Its cause is not known yet. */
  | { readonly kind: 'undecided' }
  /** These requests are refused for what is in them. */
  | { readonly kind: 'reject'; readonly refused: readonly RefusedAlone[] }
  /** The API refuses all requests alike. */
  | { readonly kind: 'common'; readonly message: string }

/** A batch of one request that the API refused. */
export interface RefusedAlone {
  readonly number: number
  readonly message: string
}

const UNDECIDED: RefusalVerdict = { kind: 'undecided' }

/**
 * Tells a bad request from a cause that all requests share, such as a parameter that the account must not use. As long as
 * the API refuses requests one after the other with the same message and accepts none, the cause may be common.
 */
export class RefusalJudge {
  #refused: RefusedAlone[] = []

  /** The API refused a request that was sent alone. */
  refusedAlone(one: RefusedAlone): RefusalVerdict {
    const first = this.#refused[0]
    this.#refused.push(one)
    if (first && withoutPosition(first.message) !== withoutPosition(one.message))
      return this.#reject()
    if (this.#refused.length >= PROBES) return { kind: 'common', message: one.message }
    return UNDECIDED
  }

  /** The API accepted a batch, so whatever it refused before was refused for what is in it. */
  accepted(): RefusalVerdict {
    return this.#refused.length === 0 ? UNDECIDED : this.#reject()
  }

  /** Nothing is left to be sent. `everAccepted`: whether the API has taken any batch of the job. */
  ended(everAccepted: boolean): RefusalVerdict {
    const [first, second] = this.#refused
    if (!first) return UNDECIDED
    if (second && !everAccepted) return { kind: 'common', message: first.message }
    return this.#reject()
  }

  #reject(): RefusalVerdict {
    const refused = this.#refused
    this.#refused = []
    return { kind: 'reject', refused }
  }
}

/** The same complaint about another request of a batch is the same message. */
function withoutPosition(message: string): string {
  return message.replaceAll(/\brequests\.\d+/g, 'requests.N')
}
