import type { Problem } from '../../core/flow.ts'
import { didYouMean } from '../../core/nearest.ts'
import { KNOWN, REFUSED } from './known-params.ts'
import { member, wrongMessages } from './message-rules.ts'
import { takesDisabledThinking, takesForcedTools, takesManualThinking } from './model-rules.ts'

/**
 * Checks a request for what the API would reject in a batch. The API checks only when the batch runs, possibly hours later.
 * Params may be partial: absent ones are not reported.
 */
export function checkParams(params: Readonly<Record<string, unknown>>): Problem[] {
  const model = params['model']
  const wrong = Object.keys(params).flatMap(name => wrongName(name, params[name]))
  if (params['stream'] === true) wrong.push('`stream` is not possible in a batch; leave it out')
  if (model !== undefined && (typeof model !== 'string' || model === ''))
    wrong.push('`model` must be the id of a model')
  if (!isMaxTokens(params['max_tokens']))
    wrong.push('`max_tokens` must be a whole number of at least 1')
  if (typeOf(params['thinking']) === 'enabled' && !takesManualThinking(model)) {
    wrong.push(
      `\`thinking\` of type "enabled" is refused by ${String(model)}; use {"type":"adaptive"}, and output_config.effort`,
    )
  } else wrong.push(...wrongBudget(params))
  if (typeOf(params['thinking']) === 'disabled' && !takesDisabledThinking(model)) {
    wrong.push(
      `\`thinking\` of type "disabled" is refused by ${String(model)}, which always thinks; leave it out, and lower output_config.effort`,
    )
  }
  const choice = typeOf(params['tool_choice'])
  if ((choice === 'any' || choice === 'tool') && !takesForcedTools(model)) {
    wrong.push(
      `\`tool_choice\` of type "${choice}" is refused by ${String(model)}, which chooses its tools itself; use {"type":"auto"}, or a schema for an answer of a given shape`,
    )
  }
  if (member(params['billing_policy'], 'bill_to') === 'user_profile')
    wrong.push('`billing_policy` cannot bill a user profile in a batch; leave it out')
  wrong.push(...wrongMessages(params['messages'], model))
  return wrong.map(message => ({ type: 'refused_parameter', message }))
}

function wrongName(name: string, value: unknown): string[] {
  const refused = REFUSED.get(name)
  if (refused !== undefined)
    return value === null || value === undefined ? [] : [`\`${name}\` ${refused}`]
  if (KNOWN.has(name)) return []
  return [`\`${name}\` is not a parameter of the Messages API${didYouMean(name, KNOWN)}`]
}

function isMaxTokens(value: unknown): boolean {
  return (
    value === undefined || (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1)
  )
}

/** The minimum thinking budget. */
const LEAST_BUDGET = 1024

/**
 * Checks `thinking.budget_tokens`. With tools a budget may exceed `max_tokens` (interleaved thinking); without `max_tokens`
 * only the minimum is checked.
 */
export function wrongBudget({
  thinking,
  max_tokens: most,
  tools,
}: Readonly<Record<string, unknown>>): string[] {
  if (typeOf(thinking) !== 'enabled') return []
  const budget = member(thinking, 'budget_tokens')
  if (typeof budget !== 'number' || !Number.isSafeInteger(budget) || budget < LEAST_BUDGET)
    return [`\`thinking.budget_tokens\` must be a whole number of at least ${LEAST_BUDGET}`]
  if (typeof most !== 'number' || budget < most || tools !== undefined) return []
  return [
    `\`thinking.budget_tokens\` (${budget}) must be below \`max_tokens\` (${most}): raise \`max_tokens\`, which counts thinking and answer, or lower the budget`,
  ]
}

function typeOf(param: unknown): unknown {
  return member(param, 'type')
}

/** Params without null members, which count as absent. */
export function withoutNulls(params: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).filter(([, value]) => value !== undefined && value !== null),
  )
}

/** Several problems as one text. */
export function sentences(problems: readonly Problem[]): string {
  return problems.map(problem => problem.message).join('; ')
}
