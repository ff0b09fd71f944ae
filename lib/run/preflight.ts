import type Anthropic from '@anthropic-ai/sdk'
import type { TransformCallback } from 'node:stream'
import type { AnthropicClient } from '../api/client.ts'
import type { Failure } from '../api/failure.ts'
import { guardedClient } from '../api/guarded-client.ts'
import { countTokens } from '../api/count-tokens.ts'
import type { FreeCall } from '../api/free-call.ts'
import { hasApiForm } from '../api/sdk-error.ts'
import { BatchStreamError } from '../core/errors.ts'
import type { BatchRequest, MessageParams, RejectedRecord } from '../core/flow.ts'
import type { StoredJob } from '../store/job.ts'
import { RequestPage } from '../core/request-page.ts'
import { wellFormed } from '../core/json/well-formed.ts'
import { apiContentOf } from '../cost/parts.ts'
import { PRICES } from '../cost/prices.ts'
import { didYouMean } from '../core/nearest.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'

export interface PreflightOptions {
  readonly client: AnthropicClient
  readonly job: Pick<StoredJob, 'session' | 'clock'>
  /** Called with the reason if nothing can be checked. */
  readonly onSkip: (why: string) => void
  /** Called with a warning if the model will be retired. */
  readonly onWarn: (warning: string) => void
  /** Called with the reason when the call has to wait. */
  readonly onWait: (why: string) => void
}

/**
 * Checks key, workspace, model and the first request with one free call to the token counter, before anything is paid for:
 * within a batch a wrong parameter shows only after the whole batch has ended.
 */
export function preflight({
  client: given,
  job,
  onSkip,
  onWarn,
  onWait,
}: PreflightOptions): Stage<BatchRequest | RejectedRecord, BatchRequest | RejectedRecord> {
  const client = guardedClient(given)
  const stop = new AbortController()
  const { signal } = stop
  // The reply names the key's workspace before anything is sent: with a key of another one a batch would appear lost.
  const free: FreeCall = {
    signal,
    onWait: why => onWait(`${why} (${WITHOUT})`),
    session: job.session,
  }
  let proven = false
  return typed(
    new StageTransform({
      objectMode: true,
      takesPages: true,
      transform(
        item: BatchRequest | RejectedRecord | RequestPage,
        _encoding,
        done: TransformCallback,
      ) {
        if (proven) return done(null, item)
        const first = item instanceof RequestPage ? item.item(0) : item
        if (!('params' in first)) return done(null, item)
        proven = true
        const proof = async (): Promise<void> => {
          await prove(client, wellFormed(first.params), free, onSkip)
          const { model } = first.params
          const warning = await retirement(client, model, signal, job.clock.now())
          if (warning !== undefined) onWarn(warning)
        }
        proof().then(
          () => done(null, item),
          cause => done(cause),
        )
      },
      destroy(error, done) {
        stop.abort()
        done(error)
      },
    }),
  )
}

/** What a user can do behind a gateway that has no token counter, but no word for that. */
const WITHOUT = '`preflight`: false leaves this call out'

async function prove(
  client: Anthropic,
  params: MessageParams,
  free: FreeCall,
  onSkip: (why: string) => void,
): Promise<void> {
  // The counter refuses what a batch takes: addresses, stored files and tools of the API's own.
  const apiContent = apiContentOf(params, JSON.stringify(params))
  if (apiContent !== undefined) return onSkip(`the token counter does not accept ${apiContent}`)
  // A client of the user's own making may lack what only this call needs.
  if (typeof client.messages.countTokens !== 'function')
    return onSkip('the client has no token counter')
  const count = await countTokens(client, params, free).catch((cause: unknown) => {
    // A key that the API itself refuses is not accepted by its batches, either.
    const isOfCounter =
      cause instanceof BatchStreamError &&
      (cause.code === 'CBS_API' || (cause.code === 'CBS_ACCESS' && !hasApiForm(cause.cause)))
    if (!isOfCounter) throw cause
    throw new BatchStreamError(cause.code, `${cause.message} (${WITHOUT})`, { cause })
  })
  if ('failure' in count) settle(count.failure, params.model, onSkip)
}

/** Decides what a failed count means for the run. */
function settle(failure: Failure, model: string, onSkip: (why: string) => void): void {
  const says = failure.message.toLowerCase()
  // A gateway without this endpoint does not prevent a run; an unknown model does.
  const isGone = failure.kind === 'notFound'
  if (isGone && !says.includes('model')) return onSkip(failure.message)
  if (!isGone && !hasApiForm(failure.cause)) return onSkip(failure.message)
  throw new BatchStreamError(
    'CBS_OPTION',
    isGone
      ? `the model ${model} is unknown${modelsLike(model)}: ${failure.message}`
      : `the first request would be rejected: ${failure.message}${says.includes('count') ? ` (${WITHOUT})` : ''}`,
    { cause: failure.cause },
  )
}

/** A hint with models of the same family, else the nearest name. */
function modelsLike(model: string): string {
  const known = Object.keys(PRICES)
  const words = model.toLowerCase().split(/[^a-z\d]+/)
  const similar = known.filter(name => words.every(word => name.split('-').includes(word)))
  if (similar.length === 0) return didYouMean(model, known)
  return ` (did you mean ${similar.slice(0, 4).join(', ')}?)`
}

/** The longest duration of a batch. */
const LONGEST_MS = 24 * 60 * 60 * 1000

/** Time limit of the call that retrieves a model. */
const ADVICE_MS = 10_000

const NO_REDIRECT = { redirect: 'manual' } as const

/**
 * A warning about a deprecated model; undefined for others, and if the API does not say.
 *
 * @throws BatchStreamError `CBS_OPTION` if the model retires before a batch that is sent now must end
 */
async function retirement(
  client: Anthropic,
  model: string,
  signal: AbortSignal,
  ourTime: number,
): Promise<string | undefined> {
  // A warning is worth one try: a gateway may not have this call.
  const options = { maxRetries: 0, timeout: ADVICE_MS, signal, fetchOptions: NO_REDIRECT }
  const found = await Promise.resolve()
    .then(() => client.models.retrieve(model, {}, options).withResponse())
    .catch(() => undefined)
  if (!found) return undefined
  const { data, response } = found
  // A gateway may omit what the type promises.
  const { lifecycle, retires_at }: Partial<typeof data> = Object(data)
  if (lifecycle === 'retired') throw retired(model, 'is retired')
  if (lifecycle !== 'deprecated') return undefined
  const retiresAt = Date.parse(retires_at ?? '')
  if (Number.isNaN(retiresAt)) return `the model ${model} is deprecated: choose another one soon`
  const now = Date.parse(String(response.headers.get('date'))) || ourTime
  const day = new Date(retiresAt).toISOString().slice(0, 10)
  // The API serves a model past its date until it is retired.
  if (retiresAt > now && retiresAt <= now + LONGEST_MS)
    throw retired(model, `retires on ${day}, before a batch that is sent now has to end`)
  return `the model ${model} is deprecated and retires on ${day}: choose another one before`
}

function retired(model: string, how: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_OPTION',
    `the model ${model} ${how}; nothing was sent: choose another one with \`model\``,
  )
}
