import { hasApiForm } from '../../api/sdk-error.ts'
import type { Problem } from '../../core/flow.ts'
import type { PartAssignment } from './split-batch.ts'

/** The number of requests of a refused batch, spread evenly, that are sent alone to find out whether all share the cause. */
export const PROBES = 8

/** After this many requests of one batch were refused by name, the cause may be common, and the batch is probed. */
export const NAMED_REFUSALS = 8

/** How a refused batch is split: each probe is a part, and so are the requests between two probes. */
export interface ProbePlan {
  readonly partOf: (position: number) => PartAssignment
  /** Indexes of the parts that are probes. */
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

/** The conclusion from the replies to requests that were sent alone. */
export type RefusalVerdict =
  /** The cause is not known yet. */
  | { readonly kind: 'undecided' }
  /** These requests are refused because of their content; `unless`: unless something on the way blocks all of them for a while. */
  | {
      readonly kind: 'reject'
      readonly refused: readonly RefusedAlone[]
      readonly unless?: 'blocked'
    }
  /** The API refuses all requests. */
  | { readonly kind: 'common'; readonly message: string }

/** A batch of one request that the API refused, and why. */
export interface RefusedAlone extends Problem {
  readonly number: number
  /** Whether the refusal judges the content of the request, as those of the API itself do and those of a filter may not. */
  readonly judges: boolean
}

/** Whether a refusal is the API's judgement of a request, and not the page or the error of something on the way. */
export function judgesContent(cause: unknown): boolean {
  if (!hasApiForm(cause)) return false
  return JUDGEMENTS.includes(Object(Object(cause).error).error.type)
}

/** The types of the API's errors that judge a request. */
const JUDGEMENTS: readonly unknown[] = ['invalid_request_error', 'request_too_large']

const UNDECIDED: RefusalVerdict = { kind: 'undecided' }

/**
 * Distinguishes a bad request from a cause that all requests share: a parameter that the account may not use, a gateway that blocks
 * everything. While the API refuses one request after another with the same message and accepts none, the cause may be common; so it
 * may with any message that does not judge the request.
 */
export class RefusalTracker {
  #refused: RefusedAlone[] = []

  /** The API refused a request that was sent alone. */
  refusedAlone(one: RefusedAlone): RefusalVerdict {
    const first = this.#refused[0]
    this.#refused.push(one)
    if (first?.judges && one.judges && sharedPart(first.message) !== sharedPart(one.message))
      return this.#reject()
    if (this.#refused.length >= PROBES) return { kind: 'common', message: one.message }
    return UNDECIDED
  }

  /** The API accepted a batch, so earlier refusals were due to the content of the requests. */
  accepted(): RefusalVerdict {
    return this.#refused.length === 0 ? UNDECIDED : this.#reject()
  }

  /** Nothing is left to send. `everAccepted`: whether the API has accepted any batch of the job. */
  ended(everAccepted: boolean): RefusalVerdict {
    const [first, second] = this.#refused
    if (!first) return UNDECIDED
    const isJudged = this.#refused.every(({ judges }) => judges)
    if (!everAccepted && (second || !isJudged)) return { kind: 'common', message: first.message }
    return isJudged ? this.#reject() : { ...this.#reject(), unless: 'blocked' }
  }

  #reject(): RefusalVerdict & { readonly kind: 'reject' } {
    const refused = this.#refused
    this.#refused = []
    return { kind: 'reject', refused }
  }
}

/** A message without what differs in each reply: the position of a request, the id of a reply, a time. */
function sharedPart(message: string): string {
  return message.replaceAll(/[\w-]+/g, word => (/\d/.test(word) ? '#' : word))
}
