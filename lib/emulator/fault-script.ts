import type { FaultCall, FaultEffect, FaultRule, Faults, Operation } from './fault.ts'

/** Decides which faults apply to a call. It counts calls, so it must see every call exactly once. */
export class FaultScript {
  readonly #faults: Faults
  /** Rules added at run time. */
  readonly #added: FaultRule[] = []
  readonly #calls = new Map<Operation, number>()
  readonly #matches = new Map<FaultRule, number>()
  readonly #applied = new Map<FaultRule, number>()

  constructor(faults: Faults) {
    this.#faults = faults
  }

  add(rule: FaultRule): void {
    this.#added.push(rule)
  }

  /** The faults of this call. `batch` is the number of the batch that the call is about. */
  pick(op: Operation, batch: number | undefined): FaultEffect[] {
    const nth = count(this.#calls, op)
    const call: FaultCall = { op, nth, batch }
    const rules = typeof this.#faults === 'function' ? [] : this.#faults
    const given = typeof this.#faults === 'function' ? (this.#faults(call) ?? []) : []
    return [given, [...rules, ...this.#added].filter(rule => this.#applies(rule, call))].flat(2)
  }

  #applies(rule: FaultRule, call: FaultCall): boolean {
    const { on, batch, nth, times = Infinity } = rule
    if (on !== '*' && ![on].flat().includes(call.op)) return false
    if (batch !== undefined && (call.batch === undefined || ![batch].flat().includes(call.batch)))
      return false
    const match = count(this.#matches, rule)
    if (nth !== undefined && ![nth].flat().includes(match)) return false
    return count(this.#applied, rule) <= times
  }
}

function count<Key>(counts: Map<Key, number>, key: Key): number {
  const next = (counts.get(key) ?? 0) + 1
  counts.set(key, next)
  return next
}
