import { createEmulator } from '../../../lib/emulator/index.ts'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { VirtualClock } from '../virtual-clock.ts'
import { damage, type Damage } from './damage.ts'
import type { ProcessFault } from './gate.ts'
import { Machine, type Crash } from './machine.ts'
import type { NetworkFault } from './network.ts'
import { complaintsAbout, outcomeOf, type Outcome } from './oracle.ts'
import { runProcess, type Ending, type Task, type World } from './process.ts'
import { Random } from './random.ts'
import { scenarioOf } from './scenarios.ts'

/** What happens to one process, and what the next one finds. */
export interface Incident {
  readonly processFault?: ProcessFault
  readonly fault?: NetworkFault
  /** @default 'killed' */
  readonly crash?: Crash
  /** What happens to the journal before the next process starts. */
  readonly damage?: Damage
  /** The time until the next process starts, in virtual ms. @default 1000 */
  readonly pauseMs?: number
  /** The change of the machine's wall clock in the meantime. The API's clock stays right. */
  readonly jumpMs?: number
}

/** A series of processes, each with its incident, and a last one that is not disturbed. Plain JSON. */
export interface Trial {
  readonly scenario: string
  /** Determines what a crash tears. */
  readonly seed: number
  readonly incidents: readonly Incident[]
}

export interface Verdict {
  /** How each process ended. */
  readonly endings: readonly Ending[]
  readonly outcome: Outcome
  /** What is wrong; empty if every record was paid for once and has its row. */
  readonly complaints: readonly string[]
}

/** The virtual duration of a batch. */
const BATCH_MS = 30_000

/** Runs a trial; `calm` is the outcome of the same scenario without incidents. */
export async function runTrial(
  { scenario, seed, incidents }: Trial,
  calm?: Outcome,
): Promise<Verdict> {
  const { api, task, rowsDiffer } = scenarioOf(scenario)
  const random = new Random(seed)
  const clock = new VirtualClock()
  await using emulator = await createEmulator({
    port: null,
    clock: clock.server,
    batchTimeMs: BATCH_MS,
    ...api,
  })
  const world: World = { clock, emulator, machine: new Machine() }
  world.machine.settle('/home')
  const creates = (): number =>
    emulator.ledger.calls().reduce((sum, { op, count }) => sum + (op === 'create' ? count : 0), 0)
  const endings: Ending[] = []
  const complaints: string[] = []
  for (const incident of incidents) {
    const ending = await runAnswered(world, task, random, incident)
    endings.push(ending)
    complaints.push(...rightlyEnded(ending, incident))
    world.machine = world.machine.crash(incident.crash ?? 'killed', random)
    if (incident.damage) damage(world.machine, incident.damage)
    clock.pass(incident.pauseMs ?? 1_000)
    clock.jump(incident.jumpMs ?? 0)
  }
  const before = creates()
  const last = await runAnswered(world, task, random)
  endings.push(last)
  const outcome = await outcomeOf(world)
  if (incidents.at(-1)?.damage?.kind === 'flip' && isStateError(last.error)) {
    // A damaged journal may be refused, as long as nothing is sent.
    if (creates() > before) complaints.push('something was sent for a damaged job')
    return { endings, outcome, complaints }
  }
  if (last.how !== 'finished') complaints.push(`the last process ${last.how}: ${told(last.error)}`)
  complaints.push(...(calm ? complaintsAbout(outcome, calm, rowsDiffer) : outcome.complaints))
  return { endings, outcome, complaints }
}

/**
 * Runs a process. If it ends with a question about chosen ids, the user, who has sent no other batches with them, answers it
 * and runs it again.
 */
async function runAnswered(
  world: World,
  task: Task,
  random: Random,
  { processFault = { kind: 'none' }, fault }: Incident = {},
): Promise<Ending> {
  const ending = await runProcess(world, task, processFault, fault)
  if (!isQuestion(ending.error)) return ending
  const adopt = [...(task.adopt ?? []), ...(ending.error.message.match(/msgbatch_\w+/g) ?? [])]
  world.machine = world.machine.crash('killed', random)
  const { how, error } = await runAnswered(world, { ...task, adopt }, random)
  return { ...ending, how, error }
}

function isQuestion(error: unknown): error is BatchStreamError {
  return error instanceof BatchStreamError && error.option === 'adopt'
}

/** A process may end only because of its fault, and any error must be a BatchStreamError. */
function rightlyEnded({ how, error, struckAt }: Ending, { processFault }: Incident): string[] {
  if (how === 'hung') return [`a process hangs, after ${struckAt}`]
  if (how !== 'failed') return []
  const isDisk = error instanceof BatchStreamError && error.code === 'CBS_DISK'
  if (processFault?.kind === 'disk' && isDisk) return []
  return [`a process failed, after ${struckAt}: ${told(error)}`]
}

function isStateError(error: unknown): boolean {
  return error instanceof BatchStreamError && error.code === 'CBS_STATE'
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
