import type { Problem } from '../core/flow.ts'
import type { Status } from '../core/results/status.ts'

/** The maximum number of groups, of records per group, and of characters of a message. */
export const MOST_GROUPS = 50
export const MOST_RECORDS = 5
const MOST_CHARACTERS = 600

/** Failures whose messages are equal except for numbers. */
export interface FailureGroup extends Problem {
  readonly status: Status
  readonly count: number
  /** The first records in the group, ascending. */
  readonly ordinals: readonly number[]
}

/** Groups failures by message. Since all messages may differ, the number of groups is limited. */
export class Failures {
  readonly #groups = new Map<string, FailureGroup & { count: number; ordinals: number[] }>()
  #others = 0

  add(status: Status, { type, message }: Problem, ordinal: number): void {
    const said = message.slice(0, MOST_CHARACTERS)
    const key = JSON.stringify([status, type, said.replaceAll(/\d+/g, '#')])
    const group = this.#groups.get(key)
    if (group) {
      group.count += 1
      const { ordinals } = group
      ordinals.push(ordinal)
      ordinals.sort((a, b) => a - b).splice(MOST_RECORDS)
    } else if (this.#groups.size < MOST_GROUPS) {
      const shown = said.length < message.length ? `${said}…` : said
      this.#groups.set(key, { status, type, message: shown, count: 1, ordinals: [ordinal] })
    } else this.#others += 1
  }

  /** The groups, largest first. */
  get groups(): readonly FailureGroup[] {
    return [...this.#groups.values()].sort((a, b) => b.count - a.count)
  }

  /** The number of failures in no group. */
  get others(): number {
    return this.#others
  }
}
