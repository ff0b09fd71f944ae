import { createEmulator } from '../../../lib/emulator/index.ts'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { VirtualClock } from '../virtual-clock.ts'
import { damage, type Damage } from './damage.ts'
import type { Fate } from './gate.ts'
import { Machine, type Crash } from './machine.ts'
import type { NetworkFault } from './network.ts'
import { complaintsAbout, legacyOf, type Legacy } from './oracle.ts'
import { runProcess, type Ending, type World } from './process.ts'
import { Random } from './random.ts'
import { scenarioOf } from './scenarios.ts'

/** What befalls one process, and what the next one finds. */
export interface Blow {
  readonly fate?: Fate
  readonly fault?: NetworkFault
  /** @default 'kept' */
  readonly crash?: Crash
  /** What happens to the journal before the next process starts. */
  readonly damage?: Damage
  /** How long it takes until the next process starts, in virtual ms. @default 1000 */
  readonly pauseMs?: number
  /** How far the machine's wall clock is set in the meantime. The API's stays right. */
  readonly jumpMs?: number
}

/** One process after the other, each with its blow, and at last one that is left alone. Plain JSON. */
export interface Trial {
  readonly scenario: string
  /** What is torn by a crash follows from it. */
  readonly seed: number
  readonly blows: readonly Blow[]
}

export interface Verdict {
  /** How each process ended. */
  readonly endings: readonly Ending[]
  readonly legacy: Legacy
  /** What is wrong; nothing where every record was paid for once and has its row. */
  readonly complaints: readonly string[]
}

/** How long a batch takes; virtual. */
const BATCH_MS = 30_000

/** Runs a trial; `calm` is what the same scenario leaves behind when nothing befalls it. */
export async function tryOut({ scenario, seed, blows }: Trial, calm?: Legacy): Promise<Verdict> {
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
  for (const blow of blows) {
    const ending = await runProcess(world, task, blow.fate ?? { kind: 'none' }, blow.fault)
    endings.push(ending)
    complaints.push(...rightlyEnded(ending, blow))
    world.machine = world.machine.crash(blow.crash ?? 'kept', random)
    if (blow.damage) damage(world.machine, blow.damage)
    clock.pass(blow.pauseMs ?? 1_000)
    clock.jump(blow.jumpMs ?? 0)
  }
  const before = creates()
  const last = await runProcess(world, task, { kind: 'none' })
  endings.push(last)
  const legacy = await legacyOf(world)
  if (blows.at(-1)?.damage?.kind === 'flip' && isStateError(last.error)) {
    // A damaged journal may be refused, as long as nothing is sent.
    if (creates() > before) complaints.push('something was sent for a damaged job')
    return { endings, legacy, complaints }
  }
  if (last.how !== 'finished') complaints.push(`the last process ${last.how}: ${told(last.error)}`)
  complaints.push(...(calm ? complaintsAbout(legacy, calm, rowsDiffer) : legacy.complaints))
  return { endings, legacy, complaints }
}

/** A process may end by its fate and by nothing else, and an error must be one of ours. */
function rightlyEnded({ how, error, struckAt }: Ending, { fate }: Blow): string[] {
  if (how === 'hung') return [`a process hangs, after ${struckAt}`]
  if (how !== 'failed') return []
  const isDisk = error instanceof BatchStreamError && error.code === 'CBS_DISK'
  if (fate?.kind === 'disk' && isDisk) return []
  return [`a process failed, after ${struckAt}: ${told(error)}`]
}

function isStateError(error: unknown): boolean {
  return error instanceof BatchStreamError && error.code === 'CBS_STATE'
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
