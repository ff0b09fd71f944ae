import { randomUUID, createHash, randomBytes } from 'node:crypto'
import { notFound } from './api-error.ts'
import type { Respond } from './answers.ts'
import { isFound, statusOf, type Batch, type Settled } from './batches.ts'
import { CallLog } from './call-log.ts'
import type { EmulatorClock } from './clock.ts'
import type { ResultOrder } from './download.ts'
import { FaultScript } from './fault-script.ts'
import type { Faults } from './fault.ts'
import { SeenCounts } from './seen.ts'
import { settle, type BatchProcessor } from './settle.ts'
import type { EmulatorSpool } from './spool.ts'

const ALPHABET = '0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** Makes ids in the API's format. They differ between emulators and never repeat within one. */
class IdGenerator {
  readonly #seed: string = randomBytes(9).toString('base64')
  #next = 0

  /** `prefix`, an underscore, "01" and 22 letters and digits. */
  make(prefix: string): string {
    const bytes = createHash('sha256').update(`${this.#seed}${prefix}${this.#next++}`).digest()
    let id = `${prefix}_01`
    for (const byte of bytes.subarray(0, 22)) id += ALPHABET.charAt(byte % ALPHABET.length)
    return id
  }
}

/** The emulator's options with their defaults filled in. */
export interface EmulatorSettings {
  readonly batchTimeMs: number | ((batch: NewBatch) => number)
  readonly cancelTimeMs: number
  readonly queueLimit: number
  readonly order: ResultOrder
  readonly clock: EmulatorClock
  readonly respond: Respond | undefined
  readonly faults: Faults
  readonly keys: Readonly<Record<string, string>> | undefined
}

/** What is known of a batch when its duration is decided. */
export interface NewBatch {
  /** From 1 in order of creation. */
  readonly number: number
  /** Its number of requests. */
  readonly requests: number
  /** Size of the create's body. */
  readonly bytes: number
}

/** The workspace of every key without the `keys` option. */
export const DEFAULT_WORKSPACE = 'wrkspc_01EmulatorDefaultWrkspc'

/** The state behind the endpoints. */
export class Service implements BatchProcessor {
  readonly settings: EmulatorSettings
  readonly spool: EmulatorSpool
  /** All batches, in order of creation. */
  readonly batches: Batch[] = []
  readonly script: FaultScript
  readonly calls: CallLog = new CallLog()
  readonly ids: IdGenerator = new IdGenerator()
  readonly organization: string = randomUUID()
  readonly revoked: Set<string> = new Set()
  readonly asked: SeenCounts = new SeenCounts()
  readonly cached: SeenCounts = new SeenCounts()
  /** The base URL, without a trailing slash. */
  origin = ''
  /** Number of batches created through the API, without those of other tools. */
  accepted = 0

  constructor(settings: EmulatorSettings, spool: EmulatorSpool) {
    this.settings = settings
    this.spool = spool
    this.script = new FaultScript(settings.faults)
  }

  get respond(): Respond | undefined {
    return this.settings.respond
  }

  now(): number {
    return this.settings.clock.now()
  }

  /**
   * The batch with this id as the workspace sees it.
   * @throws ApiError
   */
  find(id: string, workspace: string): Batch {
    const batch = this.batches.find(one => one.id === id)
    if (!batch || batch.workspace !== workspace || !isFound(batch, this.now())) {
      throw notFound(`Message Batch with id ${id} not found`)
    }
    return batch
  }

  /** The outcome of an ended batch; undefined while it runs. It is computed at the first look after the end. */
  settledOf(batch: Batch): Promise<Settled> | undefined {
    if (statusOf(batch, this.now()) !== 'ended') return undefined
    return (batch.settled ??= settle(batch, this))
  }

  /** Requests in processing over all batches, which the API's queue limit counts. */
  queued(): number {
    const now = this.now()
    const running = this.batches.filter(batch => statusOf(batch, now) !== 'ended')
    return running.reduce((sum, batch) => sum + batch.requests, 0)
  }
}
