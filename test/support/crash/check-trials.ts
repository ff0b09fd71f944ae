import type { Test } from 'tap'
import { Random } from './random.ts'
import { runTrial, type Trial, type Verdict } from './trial.ts'

/** How many trials to run, relative to the strides in the tests: a third of them in the suite, more overnight. */
export const EFFORT: number = Number(process.env['CRASH_EFFORT'] ?? 0.3)

/** The seed of the random trials. */
export const SEED: number = Number(process.env['CRASH_SEED'] ?? 1)

/** Concurrent trials: while one waits for a file of the emulator, another continues. */
const AT_A_TIME = 3

/** The maximum number of failed trials that are reported. */
const SHOWN = 10

/** The verdict of each scenario without incidents. */
const undisturbedRuns = new Map<string, Promise<Verdict>>()

export function undisturbedRun(scenario: string): Promise<Verdict> {
  const known = undisturbedRuns.get(scenario)
  if (known) return known
  const run = runTrial({ scenario, seed: 0, incidents: [] })
  undisturbedRuns.set(scenario, run)
  return run
}

/** Runs trials and fails the test for each that does harm, with the JSON to run it again. Returns the verdicts. */
export async function checkTrials(t: Test, trials: Iterable<Trial>): Promise<Verdict[]> {
  const verdicts: Verdict[] = []
  const left = trials[Symbol.iterator]()
  let harmful = 0
  const work = async (): Promise<void> => {
    for (let next = left.next(); !next.done; next = left.next()) {
      const calm = await undisturbedRun(next.value.scenario)
      const verdict = await runTrial(next.value, calm.outcome)
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
 * The steps at which to crash, from 1 to `most`: every `stride`th, adjusted by the effort. Each scenario has another first step,
 * and at least the one that it would have with an effort of 1.
 */
export function* crashPoints(most: number, stride: number, scenario: number): Generator<number> {
  const step = Math.max(1, Math.round(stride / EFFORT))
  const usual = 1 + ((scenario + SEED) % step)
  for (let at = usual > most ? 1 + ((scenario + SEED) % stride) : usual; at <= most; at += step)
    yield at
}

/** Random number generators, as many as the effort requires, each with its own seed. */
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
