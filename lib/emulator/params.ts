import { apiErrorOf, invalid, notFound, type ApiError } from './api-error.ts'
import { checkMessages, checkSystem } from './messages.ts'
import { alwaysThinks, findModel, maxOutputTokens, takesForcedTools, type Model } from './models.ts'
import { isObject, type JsonObject } from './validate.ts'

/** The kind of call; rules differ slightly between kinds. */
export interface ParamsContext {
  readonly kind: 'batch' | 'message' | 'count'
  /** The `anthropic-version` of the call; it applies to every request of a batch. */
  readonly version: string
  /** The `anthropic-beta` of the call; empty if there is none. */
  readonly betas: string
  /** The `anthropic-user-profile-id` of the call. */
  readonly userProfile: string | null
}

/** The API version that removed sampling parameters and some forms of content. */
const STRICT_VERSION = '2026-10-21'

const COUNTED =
  'model messages system tools tool_choice thinking output_config cache_control speed user_profile_id'
const KNOWN =
  'max_tokens container diagnostics inference_geo metadata service_tier stop_sequences stream'
const SAMPLING = ['temperature', 'top_p', 'top_k']
const BETA =
  'betas billing_policy compaction context_management fallback_credit_token mcp_servers output_format'

const FIELDS = {
  count: new Set(COUNTED.split(' ')),
  message: new Set(`${COUNTED} ${KNOWN}`.split(' ')),
  batch: new Set(`${COUNTED} ${KNOWN}`.split(' ')),
}
const BETA_FIELDS = new Set(BETA.split(' '))

/** Checks the params of one request as the API does. Returns its error; undefined if they are valid. */
export function checkParams(params: JsonObject, context: ParamsContext): ApiError | undefined {
  try {
    const model = modelOf(params['model'])
    checkFields(params, context, model)
    if (context.kind !== 'count') checkMaxTokens(params['max_tokens'], context, model)
    if (context.kind === 'batch') checkBatchOnly(params)
    checkThinking(params['thinking'], params['max_tokens'], model)
    checkFormat(params['output_config'])
    checkTools(params['tools'])
    checkToolChoice(params['tool_choice'], model)
    checkProfile(params['user_profile_id'], context.userProfile)
    checkSystem(params['system'])
    checkMessages(params['messages'], context.version >= STRICT_VERSION, model)
    return undefined
  } catch (error) {
    return apiErrorOf(error)
  }
}

function modelOf(id: unknown): Model {
  if (id === undefined) throw invalid('model: Field required')
  if (typeof id !== 'string') throw invalid('model: Input should be a valid string')
  const model = findModel(id)
  if (!model) throw notFound(`model: ${id}`)
  return model
}

function checkFields(
  params: JsonObject,
  { kind, version, betas }: ParamsContext,
  model: Model,
): void {
  for (const key in params) {
    if (FIELDS[kind].has(key) || (betas !== '' && BETA_FIELDS.has(key))) continue
    if (kind !== 'count' && SAMPLING.includes(key) && version < STRICT_VERSION) {
      if (model.generation <= 4.6) continue
      throw invalid(`${key}: this model does not support sampling parameters`)
    }
    throw invalid(`${key}: Extra inputs are not permitted`)
  }
}

function checkMaxTokens(given: unknown, { kind, betas }: ParamsContext, model: Model): void {
  if (given === undefined) throw invalid('max_tokens: Field required')
  if (typeof given !== 'number' || !Number.isInteger(given))
    throw invalid('max_tokens: Input should be a valid integer')
  const least = kind === 'batch' ? 1 : 0
  if (given < least) throw invalid(`max_tokens: Input should be greater than or equal to ${least}`)
  const most = maxOutputTokens(model, kind === 'batch' ? betas : '')
  if (given > most) {
    throw invalid(
      `max_tokens: ${given} > ${most}, which is the maximum allowed number of output tokens for ${model.id}`,
    )
  }
}

function checkBatchOnly(params: JsonObject): void {
  if (params['stream'] === true) throw invalid('stream: streaming is not supported in batches')
  if (params['speed'] !== undefined && params['speed'] !== null)
    throw invalid('speed: fast mode is not supported in batches')
  const policy = params['billing_policy']
  if (isObject(policy) && policy['bill_to'] === 'user_profile')
    throw invalid('billing_policy: user_profile is not supported in batches')
}

function checkThinking(thinking: unknown, maxTokens: unknown, model: Model): void {
  if (thinking === undefined) return
  const { type, budget_tokens: budget }: JsonObject = isObject(thinking) ? thinking : {}
  if (type === 'disabled' && alwaysThinks(model))
    throw invalid('thinking: this model cannot turn thinking off')
  if (type === 'adaptive' && model.generation < 4.6)
    throw invalid('thinking.type: adaptive is not supported by this model')
  if (type === 'enabled') {
    if (model.generation >= 4.7)
      throw invalid('thinking.type: enabled is not supported by this model, use adaptive')
    if (typeof budget !== 'number' || budget < 1024) {
      throw invalid('thinking.enabled.budget_tokens: Input should be greater than or equal to 1024')
    }
    if (typeof maxTokens === 'number' && budget >= maxTokens) {
      throw invalid('`max_tokens` must be greater than `thinking.budget_tokens`')
    }
  } else if (type !== 'disabled' && type !== 'adaptive') {
    throw invalid(
      "thinking: Input tag found using 'type' does not match any of the expected tags: 'adaptive', 'disabled', 'enabled'",
    )
  }
}

function checkFormat(config: unknown): void {
  if (config === undefined) return
  if (!isObject(config)) throw invalid('output_config: Input should be a valid dictionary')
  const format = config['format']
  if (format === undefined || format === null) return
  if (!isObject(format) || format['type'] !== 'json_schema')
    throw invalid("output_config.format.type: Input should be 'json_schema'")
  if (!isObject(format['schema'])) throw invalid('output_config.format.schema: Field required')
}

function checkTools(tools: unknown): void {
  if (tools === undefined) return
  if (!Array.isArray(tools)) throw invalid('tools: Input should be a valid list')
  tools.forEach((tool: unknown, at) => {
    if (!isObject(tool)) throw invalid(`tools.${at}: Input should be a valid dictionary`)
    if (typeof tool['name'] !== 'string') throw invalid(`tools.${at}.name: Field required`)
  })
}

function checkToolChoice(choice: unknown, model: Model): void {
  const type = isObject(choice) ? choice['type'] : undefined
  if ((type === 'any' || type === 'tool') && !takesForcedTools(model))
    throw invalid(`tool_choice.type: ${type} is not supported by this model, use auto`)
}

function checkProfile(own: unknown, header: string | null): void {
  if (own === undefined || header === null || own === header) return
  throw invalid('user_profile_id: conflicts with the anthropic-user-profile-id header of the batch')
}
