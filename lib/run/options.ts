import type { AnthropicClient } from '../api/client.ts'
import type { Backoff } from '../core/backoff.ts'
import { BatchStreamError, listOfTexts, wholeNumber, wrongOption } from '../core/errors.ts'
import type { Clock } from '../core/clock.ts'
import type { Job } from '../core/job/job.ts'
import type { RunObserver } from '../core/job/observer.ts'
import type { RunEvent } from '../core/job/run-event.ts'
import type { Fields } from '../core/jsonify.ts'
import {
  DEFAULT_BODY_BYTES,
  DEFAULT_CONCURRENCY,
  DEFAULT_REQUESTS,
  DEFAULT_SETTLE_MS,
  MAX_BODY_BYTES,
  MAX_REQUESTS,
} from '../core/limits.ts'
import { didYouMean } from '../core/nearest.ts'
import { nameOfShards } from '../core/shard.ts'
import type { RecordResult } from '../core/results/result.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import type { AnswerOf, AnswerSchema } from '../core/schema/answer-schema.ts'
import { givenPrice, listPrice, type PriceOf } from '../cost/price.ts'
import { parseUsd } from '../cost/usd.ts'
import { MAX_RETRIES } from '../stages/retry/retry.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { storedJob } from '../store/job.ts'
import type { JobOptions } from '../store/open.ts'
import type { MaxInvalid } from './guard.ts'

/** List prices in USD per million tokens, such as `{ input: 1, output: 5 }`. Batches are billed at half. */
export interface ModelPrice {
  /** USD per million input tokens, with at most 5 decimals. */
  readonly input: number
  /** USD per million output tokens, with at most 5 decimals. */
  readonly output: number
}

/** The options that decide the requests of a run and their cost. */
export interface EstimateOptions<
  F extends object = Fields,
  S extends AnswerSchema | undefined = AnswerSchema | undefined,
> extends Omit<TemplateOptions<F, S>, 'ready' | 'maxTokensLimit'> {
  /**
   * Maximum requests per batch, 1 to 100,000.
   * @default 10000
   */
  readonly batchSize?: number | undefined
  /**
   * Maximum bytes of a batch body, up to 250,000,000.
   * @default 64000000
   */
  readonly batchBytes?: number | undefined
  /**
   * The price of every model, replacing the built-in list prices.
   * @default the list prices of the package
   */
  readonly price?: ModelPrice | undefined
}

/** `F` is the type of record fields after JSON, `S` that of the schema. Times are in ms. */
export interface RunOptions<
  F extends object = Fields,
  S extends AnswerSchema | undefined = AnswerSchema | undefined,
> extends EstimateOptions<F, S> {
  /** A client of `@anthropic-ai/sdk`, 1.11 or newer. */
  readonly client: AnthropicClient
  /**
   * Makes the run durable: requests and answers are stored in `dir` under this name. The same call in a new process
   * continues there, never pays twice and returns every result again. With a `ledger` it also continues on another machine.
   * With a `shard` the run processes its part of the source. An open job is used and not closed.
   * @default a temporary job, which ends with the run
   */
  readonly job?: Omit<JobOptions, 'clock'> | Job | undefined
  /**
   * Send a partial batch when no record has arrived for this many ms; for endless sources.
   * @default only at the end
   */
  readonly batchWait?: number | undefined
  /**
   * Seal a partial batch this many ms after its first record, even while more arrive.
   * @default none
   */
  readonly batchAge?: number | undefined
  /**
   * Maximum batches in flight.
   * @default 10
   */
  readonly concurrency?: number | undefined
  /**
   * Stop waiting for batches in flight this many ms after the start; needs a `job`. The results of batches that have ended
   * still arrive, and what fits is still sent, unless the API fails; then the loop ends without an error and `finished` of
   * the run is false. The same call continues. 0 is one step of a job that a schedule drives.
   * @default wait until all batches have ended
   */
  readonly maxWait?: number | undefined
  /**
   * Ms between polls of the API.
   * @default 5000, rising to 60000 with the age of the batches
   */
  readonly poll?: number | undefined
  /**
   * How long to search for a batch whose submission got no reply before it is sent again, in ms.
   * @default 600000
   */
  readonly settle?: number | undefined
  /**
   * Your decisions after an error whose `option` is `adopt`: the ids of batches that belong to this job, or `none` if no other
   * batch that the error named does. Such an error ends a run if a create got no reply and a batch of the API has the same
   * custom_ids, which you chose (`id`): they do not show which job sent it. It also does if the results of a batch stay invalid: its id
   * then makes those of their lines count that are valid.
   * @default no decision
   */
  readonly adopt?: readonly string[] | undefined
  /**
   * Maximum retries of a failed record, 0 to 1000.
   * @default 2
   */
  readonly retries?: number | undefined
  /**
   * Which results are retried while retries are left. It must be pure and synchronous.
   * @default `expired` results, and `errored` ones with `api_error`, `overloaded_error`, `rate_limit_error` or `timeout_error`
   */
  readonly shouldRetry?: ((result: RecordResult<F, AnswerOf<S>>) => boolean) | undefined
  /**
   * Waits between tries of an API call.
   * @default { first: 500, most: 60000 }
   */
  readonly backoff?: Backoff | undefined
  /**
   * The order of results: as batches complete, or the order of the source.
   * @default 'completion'
   */
  readonly order?: 'completion' | 'input' | undefined
  /**
   * Send identical requests once; repeats share the answer (`repeat`).
   * @default false
   */
  readonly dedupe?: boolean | undefined
  /**
   * Send only records whose request is new or changed. The others take the answer that an earlier job in the `dir` of
   * `job` received, free: the name of that job (or of its shards), or `'auto'` for the newest answer of any finished job.
   * `reused` of a result names the job. Only complete answers of the same API and betas are reused. Needs a `job`, without
   * a `ledger`.
   * @default every record is sent
   */
  readonly reuse?: 'auto' | (string & {}) | undefined
  /**
   * Send this many first records as a batch of their own, and the rest only if at least one of them succeeds. Otherwise the
   * run ends with `CBS_STOPPED` after their results. To send the rest all the same, omit `canary` in the next call.
   * @default no canary
   */
  readonly canary?: number | undefined
  /**
   * Check the key, the model and the first request with a free call of the token counter before anything is sent: an
   * invalid one ends the run with `CBS_OPTION`, a wrong key with `CBS_ACCESS`. A model that will be retired is a `notice`
   * event. Skipped if the API or the client has no token counter, and once a job knows its workspace.
   * @default true
   */
  readonly preflight?: boolean | undefined
  /**
   * End the run with `CBS_STOPPED` if every answer of the first batch that ends is the same failure and more would be sent.
   * Failures that a retry may fix do not count. A `canary` replaces this check.
   * @default true
   */
  readonly stopOnUniformFailure?: boolean | undefined
  /**
   * Stop sending when more records than this, or more than this share, are invalid.
   * @default 1000
   */
  readonly maxInvalid?:
    | number
    | {
        /** From 0 to 1. It applies from 1000 records on, and at the end of the source. */
        readonly share: number
      }
    | undefined
  /**
   * Spending cap of the job in USD. A batch whose worst-case cost would exceed it is never sent; the results of batches in
   * flight still arrive, and the run ends with `CBS_STOPPED`.
   * @default no cap
   */
  readonly maxCost?: number | undefined
  /**
   * Ends the run: calls are aborted, batches at the API continue, and a named job resumes when it is run again.
   * @default none
   */
  readonly signal?: AbortSignal | undefined
  /**
   * Called for each event (docs/events.md). An exception or rejection changes nothing: the first failure becomes a process
   * warning.
   */
  readonly onEvent?: ((event: RunEvent) => unknown) | undefined
  /**
   * Observes the run: `openTelemetry(api)` makes spans and metrics.
   * @default none
   */
  readonly telemetry?: RunObserver | undefined
  /**
   * A clock for tests; only for a job that the run opens.
   * @default the system clock
   */
  readonly clock?: Clock | undefined
}

type BatchSizeOptions = Pick<EstimateOptions, 'batchSize' | 'batchBytes'>

/** The checked options of a run. */
export interface RunSettings {
  readonly batchSize: number
  readonly batchBytes: number
  readonly batchWait: number | undefined
  readonly batchAge: number | undefined
  readonly concurrency: number
  readonly maxWait: number | undefined
  readonly poll: number | undefined
  readonly settle: number
  readonly retries: number
  readonly canary: number | undefined
  readonly maxInvalid: MaxInvalid
  /** In femtodollars. */
  readonly maxCost: bigint | undefined
  readonly priceOf: PriceOf
}

/**
 * Checks the options of a run that its stages do not check, before anything is opened.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function runSettings(options: RunOptions): RunSettings {
  const {
    batchWait,
    batchAge,
    maxWait,
    poll,
    canary,
    order = 'completion',
    concurrency = DEFAULT_CONCURRENCY,
  } = options
  checkNames(options)
  if (order !== 'completion' && order !== 'input')
    throw wrongOption('order', "'completion' or 'input'", order)
  if (batchWait !== undefined) wholeNumber('batchWait', batchWait, 1, 2 ** 31 - 1)
  if (batchAge !== undefined) wholeNumber('batchAge', batchAge, 1, 2 ** 31 - 1)
  if (maxWait !== undefined) wholeNumber('maxWait', maxWait, 0, 2 ** 31 - 1)
  if (maxWait !== undefined && options.job === undefined)
    throw new BatchStreamError(
      'CBS_OPTION',
      '`maxWait` needs a `job`: a temporary job would be deleted with its batches in flight',
      { option: 'maxWait' },
    )
  listOfTexts('adopt', options.adopt)
  checkJob(options.job)
  for (const name of ['preflight', 'stopOnUniformFailure', 'dedupe'] as const)
    if (typeof (options[name] ?? true) !== 'boolean')
      throw wrongOption(name, 'true or false', options[name])
  for (const name of ['shouldRetry', 'onEvent'] as const)
    if (options[name] !== undefined && typeof options[name] !== 'function')
      throw wrongOption(name, 'a function', options[name])
  if (options.reuse !== undefined) checkReuse(options.reuse, options.job)
  // A JavaScript user may pass the controller.
  if (options.signal !== undefined && !(options.signal instanceof AbortSignal))
    throw wrongOption(
      'signal',
      'an AbortSignal, such as that of an AbortController',
      options.signal,
    )
  if (poll !== undefined) wholeNumber('poll', poll, 1, 2 ** 31 - 1)
  if (options.schema !== undefined) answerCheck(options.schema)
  const settings = {
    ...batchSettings(options),
    batchWait,
    batchAge,
    concurrency: wholeNumber('concurrency', concurrency, 1, Infinity),
    maxWait,
    poll,
    settle: wholeNumber('settle', options.settle ?? DEFAULT_SETTLE_MS, 0, Infinity),
    retries: wholeNumber('retries', options.retries ?? 2, 0, MAX_RETRIES),
    canary: canary === undefined ? undefined : wholeNumber('canary', canary, 1, Infinity),
    maxInvalid: maxInvalidOf(options.maxInvalid ?? 1000),
    maxCost: options.maxCost === undefined ? undefined : usd(options.maxCost),
    priceOf: pricesOf(options),
  }
  mustHavePrice(options, settings.priceOf)
  return settings
}

/** All options by name. */
const NAMES: Readonly<Record<keyof RunOptions, true>> = {
  adopt: true,
  askFailed: true,
  attach: true,
  attachDir: true,
  backoff: true,
  batchAge: true,
  batchBytes: true,
  batchSize: true,
  batchWait: true,
  cache: true,
  canary: true,
  client: true,
  clock: true,
  concurrency: true,
  dedupe: true,
  id: true,
  job: true,
  maxCost: true,
  maxInvalid: true,
  maxTokens: true,
  maxWait: true,
  metaField: true,
  model: true,
  onEvent: true,
  order: true,
  params: true,
  poll: true,
  preflight: true,
  price: true,
  prompt: true,
  responseField: true,
  retries: true,
  reuse: true,
  schema: true,
  settle: true,
  shouldRetry: true,
  signal: true,
  stopOnUniformFailure: true,
  system: true,
  telemetry: true,
  vars: true,
}

/** Rejects names of no option: a misspelt cap costs money. */
function checkNames(options: RunOptions): void {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined && !Object.hasOwn(NAMES, name))
      throw new BatchStreamError(
        'CBS_OPTION',
        `there is no option \`${name}\`${didYouMean(name, Object.keys(NAMES))}`,
        { option: name },
      )
}

/** Whether `job` is open, and not the options of `openJob`. */
export function isOpen(job: NonNullable<RunOptions['job']>): job is Job {
  return 'state' in job
}

function checkJob(job: unknown): void {
  if (job === undefined || (typeof job === 'object' && job !== null)) return
  throw wrongOption('job', 'an open job, or the options of openJob() such as { name, dir }', job)
}

function checkReuse(reuse: string, job: RunOptions['job']): void {
  if (typeof reuse !== 'string' || reuse.trim() === '')
    throw wrongOption('reuse', "the name of an earlier job, or 'auto'", reuse)
  const refuse = (why: string): never => {
    throw new BatchStreamError('CBS_OPTION', `\`reuse\` ${why}`, { option: 'reuse' })
  }
  if (job === undefined)
    return refuse('needs a `job`: its `dir` holds the jobs whose answers are reused')
  const { name } = job
  if (reuse === name || (isOpen(job) && reuse === nameOfShards(name)))
    refuse(`${reuse} is the job itself: name an earlier one`)
  if (isOpen(job) ? storedJob(job).shared !== undefined : job.ledger !== undefined)
    refuse('cannot be combined with a `ledger`: the answers may be on another machine')
}

export function batchSettings({ batchSize, batchBytes }: BatchSizeOptions): {
  readonly batchSize: number
  readonly batchBytes: number
} {
  return {
    batchSize: wholeNumber('batchSize', batchSize ?? DEFAULT_REQUESTS, 1, MAX_REQUESTS),
    batchBytes: wholeNumber('batchBytes', batchBytes ?? DEFAULT_BODY_BYTES, 1, MAX_BODY_BYTES),
  }
}

export function pricesOf({ price }: Pick<EstimateOptions, 'price'>): PriceOf {
  if (price === undefined) return listPrice
  try {
    return givenPrice(`${price.input},${price.output}`)
  } catch {
    throw wrongOption(
      'price',
      'list prices in USD per million tokens with at most 5 decimals, such as { input: 1, output: 5 }',
      price,
    )
  }
}

function maxInvalidOf(given: number | { readonly share: number }): MaxInvalid {
  if (typeof given === 'number') return { count: wholeNumber('maxInvalid', given, 0, Infinity) }
  if (given.share >= 0 && given.share <= 1) return given
  throw wrongOption('maxInvalid', 'a whole number, or { share } from 0 to 1', given)
}

function usd(maxCost: number): bigint {
  const amount = typeof maxCost === 'number' ? parseUsd(decimal(maxCost)) : undefined
  if (amount) return amount
  throw wrongOption(
    'maxCost',
    'an amount in USD above 0 with at most 15 decimals, such as 12.5',
    maxCost,
  )
}

/** Formats a small or large number without an exponent. */
function decimal(amount: number): string {
  return Number.isFinite(amount) ? amount.toFixed(12).replace(/\.?0+$/, '') : ''
}

/** A cap requires a price. Checked before anything is sent. */
function mustHavePrice(
  { maxCost, model }: Pick<RunOptions, 'maxCost' | 'model'>,
  priceOf: PriceOf,
): void {
  if (maxCost === undefined || typeof model !== 'string' || priceOf(model)) return
  throw new BatchStreamError(
    'CBS_OPTION',
    `\`maxCost\` cannot be enforced because the price of ${model} is unknown; give it with \`price\``,
    { option: 'maxCost' },
  )
}
