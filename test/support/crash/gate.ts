/** One thing that a process does to the world outside it. */
export interface Step {
  readonly kind: 'disk' | 'http'
  /** What is done, for whoever reads of a failed trial. */
  readonly what: string
  /** True where the step can be done in part. */
  readonly divisible?: boolean
}

/** How a step goes: as it should, in part and then no further, or with an error. */
export type Passage = 'whole' | 'part' | 'fail'

/** What is to happen to a process. Steps count from 1. */
export type Fate =
  | { readonly kind: 'none' }
  /** It dies before step `at`, or with `inside` when half of it is done. */
  | { readonly kind: 'die'; readonly at: number; readonly inside?: boolean }
  /** The `at`th file-system call fails, once. */
  | { readonly kind: 'disk'; readonly at: number }

const NEVER = new Promise<never>(() => {})

/**
 * Stands between a process and the world. Each of its steps passes here and is counted; when the process dies, whatever it
 * does next never comes back, as if it were gone.
 */
export class Gate {
  /** The steps so far, whatever their kind. */
  steps = 0
  diskCalls = 0
  dead = false
  /** The step at which its fate came over it. */
  struckAt: string | undefined
  readonly #fate: Fate
  readonly #mourners: (() => void)[] = []

  constructor(fate: Fate = { kind: 'none' }) {
    this.#fate = fate
  }

  /** Calls back when the process dies. */
  onDeath(mourner: () => void): void {
    this.#mourners.push(mourner)
  }

  async pass({ kind, what, divisible }: Step): Promise<Passage> {
    if (this.dead) return NEVER
    this.steps += 1
    if (kind === 'disk') this.diskCalls += 1
    const fate = this.#fate
    if (fate.kind === 'die' && this.steps === fate.at) {
      this.struckAt = what
      if (fate.inside === true && divisible === true) return 'part'
      return this.die()
    }
    if (fate.kind === 'disk' && kind === 'disk' && this.diskCalls === fate.at) {
      this.struckAt = what
      return 'fail'
    }
    return 'whole'
  }

  /** Ends the process here and now. */
  die(): Promise<never> {
    this.dead = true
    for (const mourner of this.#mourners.splice(0)) mourner()
    return NEVER
  }
}
