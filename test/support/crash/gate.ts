/** An effect of a process on the outside world. */
export interface Step {
  readonly kind: 'disk' | 'http'
  /** What is done, for the report of a failed trial. */
  readonly what: string
  /** Whether the step can be done in part. */
  readonly divisible?: boolean
}

/** The result of a step: done, done in part before the process dies, or an error. */
export type Passage = 'whole' | 'part' | 'fail'

/** The fault of a process. Steps count from 1. */
export type ProcessFault =
  | { readonly kind: 'none' }
  /** It dies before step `at`, or with `inside` when half of it is done. */
  | { readonly kind: 'die'; readonly at: number; readonly inside?: boolean }
  /** The `at`th file-system call fails, once. */
  | { readonly kind: 'disk'; readonly at: number }

const NEVER = new Promise<never>(() => {})

/**
 * Sits between a process and the world. Each step passes the gate and is counted. When the process dies, its next steps never
 * return.
 */
export class Gate {
  /** The number of steps so far, of any kind. */
  steps = 0
  diskCalls = 0
  dead = false
  /** The step at which its fault happened. */
  struckAt: string | undefined
  readonly #fault: ProcessFault
  readonly #mourners: (() => void)[] = []

  constructor(processFault: ProcessFault = { kind: 'none' }) {
    this.#fault = processFault
  }

  /** Calls back when the process dies. */
  onDeath(mourner: () => void): void {
    this.#mourners.push(mourner)
  }

  async pass({ kind, what, divisible }: Step): Promise<Passage> {
    if (this.dead) return NEVER
    this.steps += 1
    if (kind === 'disk') this.diskCalls += 1
    const processFault = this.#fault
    if (processFault.kind === 'die' && this.steps === processFault.at) {
      this.struckAt = what
      if (processFault.inside === true && divisible === true) return 'part'
      return this.die()
    }
    if (processFault.kind === 'disk' && kind === 'disk' && this.diskCalls === processFault.at) {
      this.struckAt = what
      return 'fail'
    }
    return 'whole'
  }

  /** Ends the process at once. */
  die(): Promise<never> {
    this.dead = true
    for (const mourner of this.#mourners.splice(0)) mourner()
    return NEVER
  }
}
