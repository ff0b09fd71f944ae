import { wholeNumber, wrongOption } from '../core/errors.ts'
import type { Respond } from './answers.ts'
import { SYSTEM_CLOCK, type EmulatorClock } from './clock.ts'
import type { ResultOrder } from './download.ts'
import { checkFaults } from './fault-check.ts'
import type { FaultRule, Faults } from './fault.ts'
import { addForeign, checkForeign, type ForeignBatch } from './foreign.ts'
import { fetchInto } from './in-process.ts'
import { Ledger } from './ledger.ts'
import { listen } from './server.ts'
import { Service, type NewBatch, type EmulatorSettings } from './service.ts'
import { EmulatorSpool } from './spool.ts'

export { echo, lastUserText, requestKey } from './answers.ts'
export type { Answer, AnswerContext, Respond } from './answers.ts'
export type { BatchFault, ErroredFault } from './batch-fault.ts'
export type { ProcessingStatus } from './batches.ts'
export type { Call, CallCount } from './call-log.ts'
export type { EmulatorClock } from './clock.ts'
export type { ResultOrder } from './download.ts'
export type { FaultCall, FaultEffect, FaultRule, Faults, Operation } from './fault.ts'
export type { ForeignBatch } from './foreign.ts'
export type { Ledger, LedgerBatch, LedgerCount, LedgerRequest, LedgerTotals } from './ledger.ts'
export type { LineFault } from './line-fault.ts'
export type { NewBatch } from './service.ts'

/** Options of an emulator. All have defaults. */
export interface EmulatorOptions {
  /**
   * Port of 127.0.0.1 to listen on; 0 picks a free one, null opens no socket, so that only `fetch` reaches it.
   *
   * @default 0
   */
  readonly port?: number | null
  /**
   * Duration of a batch in milliseconds, or a function of the batch.
   * @default 1000
   */
  readonly batchTimeMs?: number | ((batch: NewBatch) => number)
  /**
   * How long a canceled batch takes to end, in milliseconds.
   * @default 100
   */
  readonly cancelTimeMs?: number
  /**
   * Answers a request. Without it, or if it returns undefined, the answer is `echo(lastUserText(params))`, or conforms to
   * the request's schema.
   * @default the echo
   */
  readonly respond?: Respond
  /**
   * Faults: rules (plain JSON) or a function that is called for each call.
   * @default []
   */
  readonly faults?: Faults
  /**
   * Requests in processing over all batches; a create beyond it gets a 429.
   * @default 200000
   */
  readonly queueLimit?: number
  /**
   * Order of result lines. The API promises none, so they are shuffled, the same way each time.
   * @default 'shuffled'
   */
  readonly order?: ResultOrder
  /**
   * The accepted keys and their workspaces. Without it every key is accepted, and all share one workspace.
   * @default every key is accepted
   */
  readonly keys?: Readonly<Record<string, string>>
  /**
   * Batches of other tools that exist at the start.
   * @default []
   */
  readonly foreign?: readonly ForeignBatch[]
  /**
   * The clock.
   * @default the system clock
   */
  readonly clock?: EmulatorClock
}

/** A running emulator. */
export interface Emulator {
  /** Its base URL, such as `http://127.0.0.1:49152`. */
  readonly url: string
  /** What the emulator accepted and billed. */
  readonly ledger: Ledger
  /** Behaves like the global `fetch`, without a socket: `new Anthropic({ apiKey, baseURL: url, fetch })`. */
  readonly fetch: typeof fetch
  /** Adds a fault rule; it counts calls from now on. */
  addFault(rule: FaultRule): void
  /** Adds a batch of another tool and returns its id. */
  addForeign(batch: ForeignBatch): Promise<string>
  /** Rejects this key with a 401 from now on. */
  revokeKey(key: string): void
  /** Closes all connections and deletes the temporary files. Closing twice is harmless. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a Message Batches API on this machine: no key, no network, no cost. It is as strict as the real API, stores
 * requests in temporary files (memory does not grow with their number), counts what the API would have billed, and can
 * simulate any fault of production.
 *
 *     await using emulator = await createEmulator({ batchTimeMs: 50 })
 *     const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url })
 *
 * An invalid option throws a `BatchStreamError` with code `CBS_OPTION`; a port in use rejects with the same code.
 */
export function createEmulator(options: EmulatorOptions = {}): Promise<Emulator> {
  const { port = 0, foreign = [] } = options
  if (port !== null) wholeNumber('port', port, 0, 65_535)
  foreign.forEach((batch, at) => checkForeign(`foreign[${at}]`, batch))
  return start(settingsOf(options), port, foreign)
}

function settingsOf(options: EmulatorOptions): EmulatorSettings {
  const {
    batchTimeMs = 1000,
    cancelTimeMs = 100,
    queueLimit = 200_000,
    order = 'shuffled',
  } = options
  const { clock = SYSTEM_CLOCK, respond, faults = [], keys } = options
  if (typeof batchTimeMs !== 'function') checkTime('batchTimeMs', batchTimeMs)
  checkTime('cancelTimeMs', cancelTimeMs)
  if (queueLimit !== Infinity) wholeNumber('queueLimit', queueLimit, 1, Infinity)
  if (order !== 'shuffled' && order !== 'input')
    throw wrongOption('order', "'shuffled' or 'input'", order)
  if (respond !== undefined && typeof respond !== 'function')
    throw wrongOption('respond', 'a function', respond)
  checkFaults(faults)
  return { batchTimeMs, cancelTimeMs, queueLimit, order, clock, respond, faults, keys }
}

function checkTime(name: string, ms: number): void {
  if (typeof ms !== 'number' || !(ms >= 0))
    throw wrongOption(name, 'a number of milliseconds of at least 0', ms)
}

async function start(
  settings: EmulatorSettings,
  port: number | null,
  foreign: readonly ForeignBatch[],
): Promise<Emulator> {
  const service = new Service(settings, await EmulatorSpool.open())
  const closing = new AbortController()
  const server = await listen(service, port).catch(async cause => {
    await service.spool.close()
    throw cause
  })
  for (const batch of foreign) await addForeign(service, batch)
  const close = async (): Promise<void> => {
    closing.abort()
    server?.close()
    server?.closeAllConnections()
    await service.spool.close()
  }
  return {
    url: service.origin,
    ledger: new Ledger(service),
    fetch: fetchInto(service, closing.signal),
    addFault(rule) {
      checkFaults([rule])
      service.script.add(rule)
    },
    addForeign(batch) {
      checkForeign('batch', batch)
      return addForeign(service, batch)
    },
    revokeKey(key) {
      service.revoked.add(key)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
