import { BatchStreamError } from '../core/errors.ts'
import {
  DEFAULT_BODY_BYTES,
  DEFAULT_REQUESTS,
  MAX_BODY_BYTES,
  MAX_REQUESTS,
} from '../core/limits.ts'
import { givenPrice } from '../cost/price.ts'
import { parseUsd } from '../cost/usd.ts'
import type { Flags } from './flags.ts'
import { inputIn, type InputSettings } from './input-settings.ts'
import type { Io } from './io.ts'
import { endIn, type EndSettings } from './job-end/end-options.ts'
import { requestIn, type RequestSettings } from './request-settings.ts'
import { duration, size, whole, withoutUndefined, wrongFlag } from './values.ts'

/**
 * The settings that decide the requests of a job and how they are sent. They are stored with the job, so that `resume`
 * needs none of these flags. Each part belongs to the code that uses it.
 */
export interface Settings
  extends InputSettings, RequestSettings, BatchSettings, MoneySettings, ApiSettings, EndSettings {}

/** How requests become batches, and which are retried. */
export interface BatchSettings {
  readonly batchSize: number
  readonly batchBytes: number
  readonly batchWaitMs?: number
  readonly batchAgeMs?: number
  readonly dedupe?: boolean
  /** The job whose answers are reused, or `auto` for all finished ones. */
  readonly reuse?: string
  readonly canary?: number
  readonly retries: number
  readonly retryIncomplete?: true
}

/** Whether the input may never end, so that nothing waits for its end, or for more than its first record. */
export function isEndless({ batchWaitMs, batchAgeMs }: BatchSettings): boolean {
  return batchWaitMs !== undefined || batchAgeMs !== undefined
}

/** The spending cap in USD and list prices, as the texts of --max-cost and --price. */
export interface MoneySettings {
  readonly maxCost?: string
  readonly price?: string
}

/** The API's URL and credentials' scope. */
export interface ApiSettings {
  readonly baseUrl?: string
  readonly workspace?: string
  readonly betas: readonly string[]
}

export async function settingsOf(flags: Flags, env: Io['env']): Promise<Settings> {
  const settings = {
    ...inputIn(flags),
    ...(await requestIn(flags, env)),
    ...batchIn(flags),
    ...moneyIn(flags),
    ...apiIn(flags, env),
    ...endIn(flags),
  }
  if (settings.from === 'requests' && (settings.template ?? settings.prompt) !== undefined) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--from requests reads complete requests: leave out --prompt and --template',
    )
  }
  if (settings.sample !== undefined && isEndless(settings)) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--sample reads the whole input first; it cannot be combined with --batch-wait and --batch-age, which are for input without an end',
    )
  }
  return settings
}

function batchIn(flags: Flags): BatchSettings {
  return withoutUndefined({
    batchSize:
      flags.read('batch-size', (flag, text) => whole(flag, text, 1, MAX_REQUESTS)) ??
      DEFAULT_REQUESTS,
    batchBytes:
      flags.read('batch-bytes', (flag, text) => size(flag, text, 1, MAX_BODY_BYTES)) ??
      DEFAULT_BODY_BYTES,
    batchWaitMs: flags.read('batch-wait', (flag, text) => duration(flag, text, 1)),
    batchAgeMs: flags.read('batch-age', (flag, text) => duration(flag, text, 1)),
    dedupe: flags.has('dedupe') || undefined,
    reuse: flags.read('reuse', jobOrAuto),
    canary: flags.read('canary', (flag, text) => whole(flag, text, 1)),
    retries: flags.read('retries', (flag, text) => whole(flag, text, 0, 1000)) ?? 2,
    retryIncomplete: flags.has('retry-incomplete') || undefined,
  })
}

function jobOrAuto(flag: string, text: string): string {
  if (text.trim() !== '') return text
  throw wrongFlag(flag, 'the name of a job, or auto', text)
}

function apiIn(flags: Flags, env: Io['env']): ApiSettings {
  return withoutUndefined({
    baseUrl: flags.text('base-url') ?? (env['ANTHROPIC_BASE_URL'] || undefined),
    workspace: flags.read('workspace', headerWord),
    betas: flags.texts('beta').map(text => headerWord('--beta', text)),
  })
}

/** The settings that identify a command; progress and cost options do not. */
export function decidingSettings(settings: Settings): Partial<Settings> {
  const { maxInvalid: _, price: __, maxCost: ___, canary: ____, ...rest } = settings
  const { onComplete: _____, notify: ______, reuse: _______, ...deciding } = rest
  return deciding
}

/** The cap and price flags, checked; the job stores their texts. */
export function moneyIn(flags: Flags): MoneySettings {
  const price = flags.text('price')
  const maxCost = flags.text('max-cost')
  if (price !== undefined) givenPrice(price)
  if (maxCost !== undefined && !parseUsd(maxCost))
    throw wrongFlag(
      '--max-cost',
      'an amount in USD above 0 with at most 15 decimals, such as 12.50',
      maxCost,
    )
  return { ...(maxCost !== undefined && { maxCost }), ...(price !== undefined && { price }) }
}

/** A header value must not contain line breaks. */
function headerWord(flag: string, text: string): string {
  if (/^[\w.,-]+$/.test(text)) return text
  throw wrongFlag(flag, 'letters, digits, ".", "_" and "-"', text)
}
