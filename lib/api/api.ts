import type Anthropic from '@anthropic-ai/sdk'
import { createHash } from 'node:crypto'
import { ReadableStream } from 'node:stream/web'
import { BatchStreamError } from '../core/errors.ts'
import type { Caller } from '../core/job/event.ts'
import type { ApiSession } from '../core/session.ts'
import { IDLE_TIMEOUT_MS } from '../core/limits.ts'
import { shorten } from '../core/without-keys.ts'
import type { Failure } from './failure.ts'
import type { AnthropicClient } from './client.ts'
import {
  accountOf,
  cleanHeaders,
  guardedClient,
  isLean,
  RESULT_SET,
  secretsOf,
} from './guarded-client.ts'
import { cacheIn } from './cache-headers.ts'
import { withIdleTimeout } from './idle-timeout.ts'
import {
  API_URL,
  about,
  remoteBatch,
  remotePage,
  resultsUrlFor,
  type BatchListPage,
  type RemoteBatch,
} from './remote-batch.ts'
import { withRetry } from './retry-policy.ts'
import { MalformedReply } from './sdk-error.ts'
import { takeBody } from './transport.ts'

/** A call that failed and is about to be retried. */
export interface ApiWait {
  readonly call: string
  readonly message: string
  readonly waitMs: number
}

export interface ApiOptions {
  readonly client: AnthropicClient
  readonly session: ApiSession
  /** Aborts every call. */
  readonly signal: AbortSignal
  readonly onWait?: ((wait: ApiWait) => void) | undefined
  /** Takes each wait between two tries of a call. */
  readonly during?: ((wait: Promise<void>) => Promise<void>) | undefined
}

/** A result set that is being downloaded. */
export interface Download {
  readonly body: AsyncIterable<Uint8Array>
  /** The forms of the key that the result set may echo. */
  readonly secrets: readonly string[]
  /** Whether the reply came from a cache, according to its headers. */
  readonly isCached: boolean
}

/** The reply to a create. */
export interface CreateReply {
  readonly answer: unknown
  /** The header that shows that the reply came from a cache, and so answers another create. */
  readonly cachedBy: string | undefined
  /** Set if the batch is in another workspace than those of the job; its id must be journaled all the same. */
  readonly foreign: ForeignWorkspace | undefined
}

/** The error that a reply named another workspace than the job's, and that workspace. */
export interface ForeignWorkspace {
  readonly error: BatchStreamError
  readonly workspace: string | undefined
}

/** A redirect is never followed: it would carry the key, and a body, to another host. */
const NO_REDIRECT = { redirect: 'manual' } as const

/** A gateway must not reply to a read from its cache. */
const FRESH = { headers: { 'cache-control': 'no-cache' }, fetchOptions: NO_REDIRECT } as const

/** Enough to tell two keys apart, and too few to find one. */
const ACCESS_DIGITS = 12

/** How often a batch is looked up whose id may be wrong. */
const LOOK_UP_TRIES = 3

/** How often a list is tried that a job can do without for the moment. */
const LIST_TRIES = 5

/** The failures of a list that a gateway lacks or a filter blocks. Whether the key is good shows in other calls. */
const NO_LIST: readonly Failure['kind'][] = ['notFound', 'access', 'refused']

/** All failures but a redirect, which shows that the base URL is wrong. */
const ANY_FAILURE: readonly Failure['kind'][] = [
  ...(['access', 'notFound', 'refused', 'tooLarge'] as const),
  ...(['malformed', 'network', 'server', 'busy'] as const),
]

/**
 * The calls of the batches API, through the user's own client. Reads are retried; `create` is not, because only `submit`
 * knows what a create without an answer means. The SDK's own retries are off.
 */
export class Api {
  readonly session: ApiSession
  readonly #client: Anthropic
  readonly #options: ApiOptions

  constructor(options: ApiOptions) {
    this.#options = options
    this.#client = guardedClient(options.client)
    this.session = options.session
  }

  /** The same API, with another function that takes its waits. */
  waiting(during: ApiOptions['during']): Api {
    return new Api({ ...this.#options, during })
  }

  /** Which API is called, and as whom. The latter is known after the first call. */
  get caller(): Caller {
    const { baseURL } = this.#client
    const { origin, pathname } = new URL(baseURL)
    const route = [pathname.replace(/\/+$/, ''), ...accountOf(this.#client)].join('\n')
    const access = createHash('sha256').update(route).digest('hex').slice(0, ACCESS_DIGITS)
    const workspace = this.session.namedWorkspace
    return { origin, access, ...(workspace !== undefined && { workspace }) }
  }

  /**
   * Sends a batch once. Errors are for `failureOf`; `answer` is the unchecked reply. The next part of the body is
   * requested only after the previous one has been sent. The argument of `body` is whether it may then reuse the buffer of
   * the previous part.
   */
  async create(
    body: (reuses: boolean) => AsyncIterable<Uint8Array>,
    size: number,
    signal: AbortSignal,
  ): Promise<CreateReply> {
    // The SDK types `create` for an array of requests; the body in the options overrides it.
    const params = {} as Anthropic.Messages.Batches.BatchCreateParams
    const call = this.#client.messages.batches.create(params, {
      // The stream that the SDK would make requests parts ahead of time; this one does not.
      body: ReadableStream.from(body(isLean(this.#client))),
      headers: { 'content-type': 'application/json', 'content-length': String(size) },
      maxRetries: 0,
      // The SDK's timer would cover the whole upload; submit has an idle timeout instead.
      timeout: 2 ** 31 - 1,
      signal,
      fetchOptions: NO_REDIRECT,
    })
    const { data, response } = await call.withResponse()
    const { headers } = response
    const cachedBy = cacheIn(headers)
    let foreign: ForeignWorkspace | undefined
    try {
      // It says nothing about this key's workspace.
      if (cachedBy === undefined) await this.session.observe(headers)
      else this.session.observeCached()
    } catch (cause) {
      if (!(cause instanceof BatchStreamError) || cause.code !== 'CBS_ACCESS') throw cause
      foreign = { error: cause, workspace: this.session.namedWorkspace }
    }
    return { answer: data, cachedBy, foreign }
  }

  /** Retrieves a batch; undefined if the API does not know it. */
  async retrieve(id: string, maxTries?: number): Promise<RemoteBatch | undefined> {
    return await this.#retrieve(id, undefined, maxTries)
  }

  /**
   * The same; undefined also if three tries get nothing that is about this batch: its id may be wrong, and one wrong id must not stop a
   * job. A caller that needs to know whether the API works lists a page.
   */
  async lookUp(id: string): Promise<RemoteBatch | undefined> {
    return await this.#retrieve(id, ANY_FAILURE, LOOK_UP_TRIES)
  }

  /** The same; `unknown` if three tries get neither the batch nor the reply that the API does not know it. */
  async lookUpSurely(id: string): Promise<RemoteBatch | undefined | 'unknown'> {
    try {
      return await this.#retrieve(id, undefined, LOOK_UP_TRIES)
    } catch (cause) {
      if (this.#options.signal.aborted || !(cause instanceof BatchStreamError)) throw cause
      return 'unknown'
    }
  }

  async #retrieve(
    id: string,
    absent?: readonly Failure['kind'][],
    maxTries?: number,
  ): Promise<RemoteBatch | undefined> {
    const read = async (signal: AbortSignal): Promise<RemoteBatch> => {
      const options = { ...FRESH, maxRetries: 0, timeout: IDLE_TIMEOUT_MS, signal }
      const { data, response } = await this.#client.messages.batches
        .retrieve(id, {}, options)
        .withResponse()
      await this.session.observe(response.headers)
      return about(id, remoteBatch(data))
    }
    return await this.#read(`retrieve ${id}`, read, absent, maxTries)
  }

  /**
   * One page of the workspace's batches, newest first. `proof` is for a caller that must prove absence: it refuses pages from a
   * cache and entries that are not valid batches. `all` refuses such entries only. `valid` skips them, which is enough for a
   * caller that looks up its own ids.
   */
  async list(
    afterId: string | undefined,
    limit: number,
    wanted: 'proof' | 'all' | 'valid',
  ): Promise<BatchListPage> {
    const page = await this.#page(afterId, limit, wanted)
    if (!page)
      throw new BatchStreamError(
        'CBS_API',
        'the API answered 404 to a list of batches: is the base URL right?',
      )
    return page
  }

  /** The same as `proof` in five tries at most; undefined if the list is refused (4xx): some gateways have none. */
  async listIfAllowed(
    afterId: string | undefined,
    limit: number,
  ): Promise<BatchListPage | undefined> {
    return await this.#page(afterId, limit, 'proof', NO_LIST, LIST_TRIES)
  }

  /** The same; undefined if there is no list, or five tries get none. */
  async listIfThere(
    afterId: string | undefined,
    limit: number,
    wanted: 'proof' | 'valid',
  ): Promise<BatchListPage | undefined> {
    return await this.#page(afterId, limit, wanted, ANY_FAILURE, LIST_TRIES)
  }

  async #page(
    afterId: string | undefined,
    limit: number,
    wanted: 'proof' | 'all' | 'valid',
    absent?: readonly Failure['kind'][],
    maxTries?: number,
  ): Promise<BatchListPage | undefined> {
    const read = async (signal: AbortSignal): Promise<BatchListPage> => {
      const options = { ...FRESH, maxRetries: 0, timeout: IDLE_TIMEOUT_MS, signal }
      const query = afterId === undefined ? { limit } : { limit, after_id: afterId }
      // The SDK turns any reply into an empty page, which would prove that no batch was created.
      const response = await this.#client.messages.batches.list(query, options).asResponse()
      const cachedBy = cacheIn(response.headers)
      if (wanted === 'proof' && cachedBy !== undefined)
        throw new MalformedReply(`the list came from a cache (${shorten(cachedBy)})`)
      await this.session.observe(response.headers)
      return remotePage(await response.json(), wanted === 'valid' ? 'left out' : 'refused')
    }
    return await this.#read('list batches', read, absent, maxTries)
  }

  /** Cancels a batch; undefined if the API does not know it. */
  async cancel(id: string, maxTries?: number): Promise<RemoteBatch | undefined> {
    const ask = async (signal: AbortSignal): Promise<RemoteBatch> => {
      const options = { maxRetries: 0, timeout: IDLE_TIMEOUT_MS, signal, fetchOptions: NO_REDIRECT }
      const { data, response } = await this.#client.messages.batches
        .cancel(id, {}, options)
        .withResponse()
      await this.session.observe(response.headers)
      return about(id, remoteBatch(data))
    }
    return await this.#read(`cancel ${id}`, ask, undefined, maxTries)
  }

  /** Opens the download of a result set. Errors are for `failureOf`. */
  async download(resultsUrl: string, signal: AbortSignal): Promise<Download> {
    const where = resultsUrlFor(this.#client.baseURL, resultsUrl)
    const response = await this.#client
      .get(where, {
        headers: { ...FRESH.headers, Accept: RESULT_SET },
        fetchOptions: FRESH.fetchOptions,
        maxRetries: 0,
        timeout: IDLE_TIMEOUT_MS,
        signal,
        stream: true,
        __binaryResponse: true,
      })
      .asResponse()
    const secrets = secretsOf(response)
    const headers = cleanHeaders(response, secrets)
    await this.session.observe(headers)
    const body = takeBody(response)
    if (!body) throw new Error('the API sent no body')
    return { body, secrets, isCached: cacheIn(headers) !== undefined }
  }

  /** Whether a gateway or a proxy is known to be between this process and the API. */
  get isThroughGateway(): boolean {
    return new URL(this.#client.baseURL).origin !== API_URL
  }

  /** Ensures that the key belongs to the job's workspace, before batches are sent. */
  async proveWorkspace(): Promise<void> {
    // A refusal proves it, too: it has the same headers.
    if (this.#needsProof) await this.#page(undefined, 1, 'all', NO_LIST)
  }

  /** The same before batches are retrieved, whose replies show it, too, so that five tries are enough. */
  async proveWorkspaceIfListed(): Promise<void> {
    if (this.#needsProof) await this.#page(undefined, 1, 'all', ANY_FAILURE, LIST_TRIES)
  }

  get #needsProof(): boolean {
    return this.session.workspace !== null && !this.session.isProven
  }

  /** Retries a read until it succeeds; undefined for failures that mean absence, such as a 404. */
  async #read<T>(
    call: string,
    read: (signal: AbortSignal) => Promise<T>,
    absent: readonly Failure['kind'][] = ['notFound'],
    maxTries?: number,
  ): Promise<T | undefined> {
    const { session } = this
    const { signal, onWait, during } = this.#options
    const timeout = { clock: session.clock, signal, limitMs: IDLE_TIMEOUT_MS }
    const tried = await withRetry(() => withIdleTimeout(timeout, timer => read(timer.signal)), {
      ...{ session, signal, maxTries, during },
      onWait: ({ message }, waitMs) => onWait?.({ call, message, waitMs }),
    })
    if ('value' in tried) return tried.value
    if (absent.includes(tried.failure.kind)) return undefined
    throw errorOf(call, tried.failure)
  }
}

/** The error of a call that failed for good. */
export function errorOf(call: string, failure: Failure): BatchStreamError {
  const code = failure.kind === 'access' ? 'CBS_ACCESS' : 'CBS_API'
  const what =
    failure.kind === 'redirect'
      ? `${failure.message} (redirects are not followed: check the base URL)`
      : failure.message
  return new BatchStreamError(code, `cannot ${call}: ${what}`, { cause: failure.cause })
}
