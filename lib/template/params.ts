import type { Problem } from '../flow.ts'
import { didYouMean } from '../nearest.ts'
import { KNOWN, REFUSED } from './known-params.ts'
import { wrongMessages } from './message-rules.ts'
import { takesManualThinking } from './model-rules.ts'

/**
 * What the API would refuse of a request in a batch. It checks requests only when the batch is worked on, hours later
 * perhaps, so this tells at once. Params may be part of a request: what is absent is not missed.
 */
export function checkParams(params: Readonly<Record<string, unknown>>): Problem[] {
  const model = params['model']
  const wrong = Object.keys(params).flatMap(name => wrongName(name, params[name]))
  if (params['stream'] === true) wrong.push('`stream` is not possible in a batch; leave it out')
  if (model !== undefined && (typeof model !== 'string' || model === ''))
    wrong.push('`model` must be the id of a model')
  if (!isMaxTokens(params['max_tokens']))
    wrong.push('`max_tokens` must be a whole number of at least 1')
  if (isManualThinking(params['thinking']) && !takesManualThinking(model)) {
    wrong.push(
      `\`thinking\` of type "enabled" is refused by ${String(model)}; use {"type":"adaptive"}, and output_config.effort`,
    )
  }
  wrong.push(...wrongMessages(params['messages'], model))
  return wrong.map(message => ({ type: 'refused_parameter', message }))
}

function wrongName(name: string, value: unknown): string[] {
  const refused = REFUSED.get(name)
  if (refused !== undefined)
    return value === null || value === undefined ? [] : [`\`${name}\` ${refused}`]
  if (KNOWN.has(name)) return []
  return [`\`${name}\` is no parameter of the Messages API${didYouMean(name, KNOWN)}`]
}

function isMaxTokens(value: unknown): boolean {
  return (
    value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1)
  )
}

function isManualThinking(thinking: unknown): boolean {
  return (
    typeof thinking === 'object' &&
    thinking !== null &&
    'type' in thinking &&
    thinking.type === 'enabled'
  )
}
