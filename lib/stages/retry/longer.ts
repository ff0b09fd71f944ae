import { Bits } from '../../store/bits.ts'
import type { Result } from '../../core/results/result.ts'
import { grown, requestMaker, type AnyTemplateOptions } from '../template/template.ts'

/**
 * Which answers `max_tokens` has cut, so that they are asked again with twice as many: one bit for each record and try. It
 * is derived from the results as they come by, in a first run as in one that goes on.
 */
export class Longer {
  readonly #requestOf: ReturnType<typeof requestMaker>
  readonly #mostTokens: AnyTemplateOptions['mostTokens']
  readonly #tries: Bits[] = []
  #now = new Bits()

  constructor(options: AnyTemplateOptions) {
    this.#requestOf = requestMaker(options)
    this.#mostTokens = options.mostTokens
  }

  /** Was this answer cut, and would the model take a larger `max_tokens`? */
  helps({ status, stopReason, record }: Result): boolean {
    if (status !== 'incomplete' || stopReason !== 'max_tokens') return false
    const asked = record && this.#requestOf(record)
    if (record?.ordinal === undefined || !asked || 'problem' in asked) return false
    const doublings = this.doublings(record.ordinal)
    const more = grown(asked.params, doublings + 1, this.#mostTokens)
    return more > grown(asked.params, doublings, this.#mostTokens)
  }

  /** Remembers that a record is asked again after this answer. */
  take(result: Result): void {
    const ordinal = result.record?.ordinal
    if (ordinal !== undefined && this.helps(result)) this.#now.add(ordinal)
  }

  /** From now on results of the next try come. */
  next(): void {
    this.#tries.push(this.#now)
    this.#now = new Bits()
  }

  /** How often the `max_tokens` of a record is doubled in the try that is going on. */
  doublings(ordinal: number): number {
    return this.#tries.filter(cut => cut.has(ordinal)).length
  }
}
