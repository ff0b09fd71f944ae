import type { MessageParams } from '../core/flow.ts'
import { ApiError, invalid, json, notFound, tooLarge } from './api-error.ts'
import { requestKey } from './answers.ts'
import type { Caller } from './auth.ts'
import { parseJson } from './create-body.ts'
import { messageFor } from './message.ts'
import { findModel, MODELS, showModel } from './models.ts'
import { page } from './paging.ts'
import { checkParams } from './params.ts'
import { hashOfHex } from './seen.ts'
import type { Service } from './service.ts'
import { inputTokens } from './usage.ts'
import { isObject, type JsonObject } from './validate.ts'
import type { Reply, RequestBody } from './wire.ts'

/** Maximum bytes of a Messages request. */
const MAX_BYTES = 32_000_000

/** Reads the JSON body of a call other than create. */
export async function readParams(body: RequestBody): Promise<JsonObject> {
  const bytes = await body.whole(MAX_BYTES)
  if (bytes === null) throw tooLarge()
  const params = parseJson(bytes)
  if (!isObject(params)) throw invalid('Input should be a valid dictionary or object')
  return params
}

/** POST /v1/messages/count_tokens */
export function countTokens(params: JsonObject, caller: Caller): Reply {
  const wrong = checkParams(params, { kind: 'count', ...caller })
  if (wrong) throw wrong
  return json(200, { input_tokens: inputTokens(JSON.stringify(params)) })
}

/** POST /v1/messages, answered at once and without streaming. */
export async function answerMessage(
  service: Service,
  params: JsonObject,
  caller: Caller,
): Promise<Reply> {
  const wrong = checkParams(params, { kind: 'message', ...caller })
  if (wrong) throw wrong
  if (params['stream'] === true) throw invalid('stream: the emulator does not stream')
  const attempt = service.asked.add(hashOfHex(requestKey(params)))
  // checkParams ensured what the type promises.
  const answer = await service.respond?.(params as unknown as MessageParams, {
    custom_id: null,
    attempt,
  })
  if (typeof answer === 'object' && !Array.isArray(answer) && 'error' in answer) {
    throw new ApiError(STATUSES[answer.error.type] ?? 400, answer.error.type, answer.error.message)
  }
  const id = service.ids.make('msg')
  const asked = {
    id,
    params,
    json: JSON.stringify(params),
    tier: 'standard',
    cached: service.cached,
  } as const
  return json(200, messageFor(asked, answer))
}

const STATUSES: Readonly<Record<string, number>> = {
  api_error: 500,
  overloaded_error: 529,
  rate_limit_error: 429,
  not_found_error: 404,
}

/** GET /v1/models */
export function listModels(query: URLSearchParams): Reply {
  const { data, ...rest } = page(MODELS, query)
  return json(200, { data: data.map(showModel), ...rest })
}

/** GET /v1/models/{id} */
export function retrieveModel(id: string): Reply {
  const model = findModel(id)
  if (!model) throw notFound(`model: ${id}`)
  return json(200, showModel(model))
}
