import type Anthropic from '@anthropic-ai/sdk'
import { echo, lastUserText, type Answer } from './answers.ts'
import { alwaysThinks, findModel } from './models.ts'
import { valueFor } from './schema-answer.ts'
import type { SeenCounts } from './seen.ts'
import { inputUsage, outputTokens, PER_TOKEN } from './usage.ts'
import { isObject, type JsonObject } from './validate.ts'

type ContentBlock = Anthropic.Messages.ContentBlock

/** The inputs of a message. */
export interface MessageInputs {
  readonly id: string
  readonly params: JsonObject
  /** JSON.stringify(params), which the caller already has. */
  readonly json: string
  readonly tier: 'batch' | 'standard'
  /** Prefixes that were written to the prompt cache. */
  readonly cached: SeenCounts
}

/** The complete message that answers a request, with its usage. */
export function messageFor(
  asked: MessageInputs,
  answer: Exclude<Answer, { error: unknown }> | undefined,
): object {
  const { params } = asked
  const given = membersOf(params, answer)
  const content = given.content ?? []
  const message = {
    id: asked.id,
    type: 'message',
    role: 'assistant',
    model: params['model'],
    content,
    container: null,
    diagnostics: null,
    stop_reason: content.some(block => block.type === 'tool_use') ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    stop_details: null,
    usage: usageOf(asked, content),
  }
  // One object of a fixed shape, changed only if needed: this runs a million times.
  if (answer === undefined || typeof answer === 'string')
    message.stop_reason = given.stop_reason ?? message.stop_reason
  else if (!Array.isArray(answer))
    Object.assign(message, answer, { usage: Object.assign(message.usage, given.usage) })
  return message
}

type Members = Partial<Anthropic.Messages.Message>

function membersOf(
  params: JsonObject,
  answer: Exclude<Answer, { error: unknown }> | undefined,
): Members {
  if (answer === undefined) return defaultAnswer(params)
  if (typeof answer === 'string') return { content: [textBlock(answer)] }
  if (Array.isArray(answer)) return { content: answer }
  // The rest of Answer are members of a message: the caller has handled the other shapes.
  return answer as Members
}

function usageOf(
  { params, json, tier, cached }: MessageInputs,
  content: readonly ContentBlock[],
): object {
  let text = 0
  let thinking = 0
  for (const block of content) {
    if (block.type === 'text') text += block.text.length
    else if (block.type === 'thinking') thinking += outputTokens(block.thinking)
    else text += JSON.stringify(block).length
  }
  const input = inputUsage(params, json, cached)
  return {
    input_tokens: input.input_tokens,
    cache_creation_input_tokens: input.cache_creation_input_tokens,
    cache_read_input_tokens: input.cache_read_input_tokens,
    cache_creation: input.cache_creation,
    // An answer without a text has a token for its end.
    output_tokens: Math.max(1, Math.ceil(text / PER_TOKEN) + thinking),
    output_tokens_details: { thinking_tokens: thinking },
    server_tool_use: null,
    service_tier: tier,
    speed: 'standard',
    inference_geo: 'not_available',
  }
}

function defaultAnswer(params: JsonObject): Members {
  const question = lastUserText(params)
  const tool = forcedTool(params)
  if (tool) {
    const input = valueFor(tool['input_schema'], question)
    // A tool_use block's members depend on its request, which the type cannot express.
    const use = {
      type: 'tool_use',
      id: 'toolu_01emulated',
      name: tool['name'],
      input,
    } as ContentBlock
    return { content: [use] }
  }
  const schema = schemaOf(params)
  const whole = schema === undefined ? echo(question) : JSON.stringify(valueFor(schema, question))
  // The model stops at max_tokens, even in the middle of JSON.
  const room = Number(params['max_tokens']) * PER_TOKEN
  const text = textBlock(whole.slice(0, room))
  const content = thinks(params) ? [thinkingBlock(question), text] : [text]
  return { content, stop_reason: whole.length > room ? 'max_tokens' : 'end_turn' }
}

function schemaOf(params: JsonObject): unknown {
  const config = params['output_config']
  const format = isObject(config) ? config['format'] : undefined
  return isObject(format) ? format['schema'] : undefined
}

function forcedTool(params: JsonObject): JsonObject | undefined {
  const { tools, tool_choice: choice } = params
  if (!Array.isArray(tools) || !isObject(choice)) return undefined
  if (choice['type'] === 'any') return tools[0]
  return choice['type'] === 'tool'
    ? tools.find((tool: JsonObject) => tool['name'] === choice['name'])
    : undefined
}

/** Whether thinking comes as the first block: it was requested or cannot be turned off. */
function thinks(params: JsonObject): boolean {
  const thinking = params['thinking']
  if (isObject(thinking)) return thinking['type'] !== 'disabled'
  const model = findModel(String(params['model']))
  return model !== undefined && alwaysThinks(model)
}

function textBlock(text: string): Anthropic.Messages.TextBlock {
  return { type: 'text', text, citations: null }
}

function thinkingBlock(question: string): Anthropic.Messages.ThinkingBlock {
  return {
    type: 'thinking',
    thinking: `They ask: ${question.slice(0, 40)}`,
    signature: 'ZW11bGF0ZWQ=',
  }
}
