import { wholeNumber, wrongOption } from '../core/errors.ts'
import type { Respond } from './answers.ts'
import { SYSTEM_CLOCK, type Clock } from './clock.ts'
import type { ResultOrder } from './download.ts'
import { checkFaults } from './fault-check.ts'
import type { FaultRule, Faults } from './fault.ts'
import { addForeign, checkForeign, type ForeignBatch } from './foreign.ts'
import { fetchInto } from './in-process.ts'
import { Ledger } from './ledger.ts'
import { listen } from './server.ts'
import { Service, type NewBatch, type EmulatorSettings } from './service.ts'
import { Spool } from './spool.ts'

export { echo, lastUserText, requestKey } from './answers.ts'
export type { Answer, AnswerContext, Respond } from './answers.ts'
export type { BatchFault, ErroredFault } from './batch-fault.ts'
export type { ProcessingStatus } from './batches.ts'
export type { Call, CallCount } from './call-log.ts'
export type { Clock } from './clock.ts'
export type { ResultOrder } from './download.ts'
export type { FaultCall, FaultEffect, FaultRule, Faults, Operation } from './fault.ts'
export type { ForeignBatch } from './foreign.ts'
export type { Ledger, LedgerBatch, LedgerCount, LedgerRequest, LedgerTotals } from './ledger.ts'
export type { LineFault } from './line-fault.ts'
export type { NewBatch } from './service.ts'

/** What an emulator is like. Everything has a default. */
export interface EmulatorOptions {
  /**
   * Port of 127.0.0.1 to listen on; 0 takes any that is free, null opens no socket: then only `fetch` reaches it.
   *
   * @default 0
   */
  readonly port?: number | null
  /** How long a batch takes, in milliseconds, or a function that says it for each. @default 1000 */
  readonly batchTimeMs?: number | ((batch: NewBatch) => number)
  /** How long a batch takes to end once it is canceled, in milliseconds. @default 100 */
  readonly cancelTimeMs?: number
  /** Answers a request; without it, or where it gives undefined, the answer is `echo(lastUserText(params))` or conforms to the schema that was asked for. */
  readonly respond?: Respond
  /** What goes wrong: rules (plain JSON) or a function that is asked at each call. @default [] */
  readonly faults?: Faults
  /** Requests that may be in processing over all batches; a create beyond it is answered 429. @default 200000 */
  readonly queueLimit?: number
  /** Order of the lines of results. The API promises none, so they come mixed, the same way each time. @default 'shuffled' */
  readonly order?: ResultOrder
  /** The keys that are accepted and the workspace of each; without it, any key is good, and all share one workspace. */
  readonly keys?: Readonly<Record<string, string>>
  /** Batches of other tools that are there already. @default [] */
  readonly foreign?: readonly ForeignBatch[]
  /** Where time comes from. @default the machine's clock */
  readonly clock?: Clock
}

/** A running emulator. */
export interface Emulator {
  /** Its base URL, such as `http://127.0.0.1:49152`. */
  readonly url: string
  /** What it accepted and billed. */
  readonly ledger: Ledger
  /** Answers like the global `fetch`, without a socket: `new Anthropic({ apiKey, baseURL: url, fetch })`. */
  readonly fetch: typeof fetch
  /** Adds a fault rule from now on; its calls are counted from now. */
  addFault(rule: FaultRule): void
  /** Adds a batch of another tool; gives its id. */
  addForeign(batch: ForeignBatch): Promise<string>
  /** From now on this key is answered 401. */
  revokeKey(key: string): void
  /** Breaks all connections and deletes the temporary files. Closing twice does no harm. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Starts a Message Batches API on this machine: no key, no network, no cost. It is as strict as the real one, keeps what it
 * accepted in temporary files (memory stays flat at any number of requests), counts what it would have billed, and
 * does whatever goes wrong in production when told to.
 *
 *     await using emulator = await createEmulator({ batchTimeMs: 50 })
 *     const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url })
 *
 * A wrong option throws a `BatchStreamError` with code `CBS_OPTION` at once; a port that is taken rejects with the same.
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
  const service = new Service(settings, await Spool.open())
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
