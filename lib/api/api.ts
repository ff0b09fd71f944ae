import type Anthropic from '@anthropic-ai/sdk'
import { BatchStreamError } from '../errors.ts'
import type { Job } from '../job/job.ts'
import { MAX_PAGE, SILENCE_MS } from '../limits.ts'
import { failureOf, type Failure } from './failure.ts'
import { guardedClient, RESULT_SET } from './guarded-client.ts'
import { waitBeforeRetry } from './patience.ts'
import {
  about,
  remoteBatch,
  remotePage,
  resultsUrlFor,
  type Page,
  type RemoteBatch,
} from './remote-batch.ts'
import { isSdkError } from './sdk-error.ts'

/** What a call that is waiting for the API to come back tells whoever watches. */
export interface ApiTrouble {
  readonly call: string
  readonly message: string
  readonly waitMs: number
}

export interface ApiOptions {
  readonly client: Anthropic
  readonly job: Job
  /** Aborted when the stage is destroyed. */
  readonly signal: AbortSignal
  readonly onTrouble?: ((trouble: ApiTrouble) => void) | undefined
}

/** Never follow a redirect: it would carry the key, and a body, to whoever it names. */
const NO_REDIRECT = { redirect: 'manual' } as const

/**
 * The few calls that we make, through the user's own client. Reads are tried again with patience; create is never
 * repeated here, since only submit knows what an unanswered create means. The SDK's own retries are off.
 */
export class Api {
  readonly #client: Anthropic
  readonly #job: Job
  readonly #signal: AbortSignal
  readonly #onTrouble: ApiOptions['onTrouble']

  constructor(options: ApiOptions) {
    this.#client = guardedClient(options.client)
    this.#job = options.job
    this.#signal = options.signal
    this.#onTrouble = options.onTrouble
  }

  /** Sends a batch once. What it throws is for `failureOf`; the answer may be anything. */
  async create(
    body: AsyncIterable<Uint8Array>,
    size: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    // The SDK types `create` for its own array; a body of ours goes with the options, which come after it.
    const params = {} as Anthropic.Messages.Batches.BatchCreateParams
    const call = this.#client.messages.batches.create(params, {
      body,
      headers: { 'content-type': 'application/json', 'content-length': String(size) },
      maxRetries: 0,
      // The SDK's timer covers the whole upload; submit watches for silence itself.
      timeout: 2 ** 31 - 1,
      signal,
      fetchOptions: NO_REDIRECT,
    })
    const { data, response } = await call.withResponse()
    await this.#learn(response.headers)
    return data
  }

  /** A batch; undefined where the API does not know it. */
  async retrieve(id: string): Promise<RemoteBatch | undefined> {
    return await this.#read(`retrieve ${id}`, async signal => {
      const options = { maxRetries: 0, timeout: SILENCE_MS, signal, fetchOptions: NO_REDIRECT }
      const { data, response } = await this.#client.messages.batches
        .retrieve(id, {}, options)
        .withResponse()
      await this.#learn(response.headers)
      return about(id, remoteBatch(data))
    })
  }

  /**
   * One page of the workspace's batches, newest first. Batches of others that are described as none have been so far are an
   * error where absence is to be proven; who only looks for his own by their ids may have them left out.
   */
  async list(
    afterId: string | undefined,
    limit: number = MAX_PAGE,
    odd: 'refused' | 'left out' = 'refused',
  ): Promise<Page> {
    const page = await this.#read('list batches', async signal => {
      const options = { maxRetries: 0, timeout: SILENCE_MS, signal, fetchOptions: NO_REDIRECT }
      const query = afterId === undefined ? { limit } : { limit, after_id: afterId }
      // Read here and not by the SDK, which makes an empty page of any answer: that would prove that nothing was created.
      const response = await this.#client.messages.batches.list(query, options).asResponse()
      await this.#learn(response.headers)
      return remotePage(await response.json(), odd)
    })
    if (!page)
      throw new BatchStreamError(
        'CBS_API',
        'the API answered 404 to a list of batches: is the base URL right?',
      )
    return page
  }

  async cancel(id: string): Promise<RemoteBatch | undefined> {
    return await this.#read(`cancel ${id}`, async signal => {
      const options = { maxRetries: 0, timeout: SILENCE_MS, signal, fetchOptions: NO_REDIRECT }
      const { data, response } = await this.#client.messages.batches
        .cancel(id, {}, options)
        .withResponse()
      await this.#learn(response.headers)
      return about(id, remoteBatch(data))
    })
  }

  /** Opens the download of a result set; what it throws is for `failureOf`. */
  async download(resultsUrl: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const where = resultsUrlFor(this.#client.baseURL, resultsUrl)
    const response = await this.#client
      .get(where, {
        headers: { Accept: RESULT_SET },
        maxRetries: 0,
        timeout: SILENCE_MS,
        signal,
        fetchOptions: NO_REDIRECT,
        stream: true,
        __binaryResponse: true,
      })
      .asResponse()
    await this.#learn(response.headers)
    if (!response.body) throw new Error('the API sent no body')
    return response.body
  }

  /** Makes sure that the key is of the job's workspace before anything is sent with it. */
  async proveWorkspace(): Promise<void> {
    if (this.#job.state.workspace !== null && !this.#job.serverTime.heard)
      await this.list(undefined, 1)
  }

  async #read<T>(call: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    const { clock } = this.#job
    const began = clock.elapsed()
    let failures = 0
    for (;;) {
      try {
        return await this.#withDeadline(ask)
      } catch (cause) {
        if (this.#signal.aborted) throw this.#signal.reason
        if (cause instanceof BatchStreamError) throw cause
        await this.hear(cause)
        const failure = failureOf(cause, this.#job.serverTime.nowOrOurs())
        if (failure.kind === 'gone') return undefined
        failures += 1
        const trouble = {
          failures,
          forMs: clock.elapsed() - began,
          known: this.#job.serverTime.heard,
          random: Math.random(),
        }
        const waitMs = waitBeforeRetry(failure, trouble)
        if (waitMs === null) throw errorOf(call, failure)
        this.#onTrouble?.({ call, message: failure.message, waitMs })
        await clock.sleep(waitMs, this.#signal)
      }
    }
  }

  /** Gives up a call whose answer does not come whole: the SDK's timer ends with the headers. */
  async #withDeadline<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new AbortController()
    const done = new AbortController()
    const late = this.#job.clock
      .sleep(SILENCE_MS, AbortSignal.any([this.#signal, done.signal]))
      .then(
        () => deadline.abort(),
        () => {},
      )
    try {
      return await ask(AbortSignal.any([this.#signal, deadline.signal]))
    } finally {
      done.abort()
      await late
    }
  }

  /** An answer that is an error tells as much: a 404 of another workspace must not be taken for a lost batch. */
  async hear(cause: unknown): Promise<void> {
    if (isSdkError(cause) && cause.headers) await this.#learn(cause.headers)
  }

  /** Every answer tells the API's clock and workspace. */
  async #learn(headers: Headers): Promise<void> {
    this.#job.serverTime.hear(headers.get('date'))
    await this.learnWorkspace(headers)
  }

  /** Takes in whose key it is, from an answer to a call that is not about batches: its clock need not be theirs. */
  async learnWorkspace(headers: Headers): Promise<void> {
    this.#job.serverTime.heard = true
    // A proxy may write a header twice.
    const workspace = headers.get('anthropic-workspace-id')?.split(',')[0]?.trim()
    if (!workspace) return
    const known = this.#job.state.workspace
    if (known === null) await this.#job.note({ type: 'workspace', id: workspace }, false)
    else if (known !== workspace) throw otherWorkspace(this.#job.name, known, workspace)
  }
}

/** The error that ends a run over a call that failed for good. */
export function errorOf(call: string, failure: Failure): BatchStreamError {
  const code = failure.kind === 'access' ? 'CBS_ACCESS' : 'CBS_API'
  const what =
    failure.kind === 'elsewhere'
      ? `${failure.message} (a redirect is not followed: check the base URL)`
      : failure.message
  return new BatchStreamError(code, `cannot ${call}: ${what}`, { cause: failure.cause })
}

function otherWorkspace(job: string, known: string, got: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_ACCESS',
    `job ${job} lives in workspace ${known}, and this key is of ${got}: use a key of ${known}; nothing was sent`,
  )
}
