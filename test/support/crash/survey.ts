import type { Test } from 'tap'
import { Random } from './random.ts'
import { tryOut, type Trial, type Verdict } from './trial.ts'

/** How much is tried, as a share of the strides in the tests: half for the suite, to be quick; more for a night of it. */
export const EFFORT: number = Number(process.env['CRASH_EFFORT'] ?? 0.5)

/** Where the random trials begin; another number tries others. */
export const SEED: number = Number(process.env['CRASH_SEED'] ?? 1)

/** Trials at a time: while one waits for a file of the emulator's, another goes on. */
const AT_A_TIME = 3

/** Complaints shown of one survey. */
const SHOWN = 10

/** What a scenario leaves behind when nothing befalls it. */
const calms = new Map<string, Promise<Verdict>>()

export function calmRun(scenario: string): Promise<Verdict> {
  const known = calms.get(scenario)
  if (known) return known
  const run = tryOut({ scenario, seed: 0, blows: [] })
  calms.set(scenario, run)
  return run
}

/** Runs trials and fails the test for each that does harm, with all that is needed to run it again. Gives the verdicts. */
export async function survey(t: Test, trials: Iterable<Trial>): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  const left = trials[Symbol.iterator]()
  let harmful = 0
  const work = async (): Promise<void> => {
    for (let next = left.next(); !next.done; next = left.next()) {
      const calm = await calmRun(next.value.scenario)
      const verdict = await tryOut(next.value, calm.legacy)
      verdicts.push(verdict)
      if (verdict.complaints.length === 0) continue
      harmful += 1
      if (harmful <= SHOWN) t.fail(`does harm: ${JSON.stringify(next.value)}`, whyOf(verdict))
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
  t.equal(harmful, 0, `none of ${verdicts.length} trials does harm`)
  return verdicts
}

function whyOf({ endings, complaints }: Verdict): object {
  const struck = endings.map(({ how, struckAt }) => `${how} at ${struckAt ?? 'its end'}`)
  return { endings: struck, complaints: complaints.slice(0, 5) }
}

/**
 * Places to strike, from 1 to `most`: every `stride`th, fewer or more of them by the effort. Each scenario begins elsewhere and
 * has at least the place that it would have with an effort of 1.
 */
export function* places(most: number, stride: number, scenario: number): Generator<number> {
  const step = Math.max(1, Math.round(stride / EFFORT))
  const usual = 1 + ((scenario + SEED) % step)
  for (let at = usual > most ? 1 + ((scenario + SEED) % stride) : usual; at <= most; at += step)
    yield at
}

/** As many random numbers generators as the effort asks for, each with the seed of its own. */
export function* luck(count: number): Generator<{ seed: number; random: Random }> {
  for (let nth = 0; nth < count * EFFORT; nth++) {
    const seed = SEED * 1_000_000 + nth
    yield { seed, random: new Random(seed) }
  }
}

export function oneOf<T>(random: Random, values: readonly T[]): T {
  // In range by the bound; callers give at least one.
  return values[random.below(values.length)] as T
}
