import type Anthropic from '@anthropic-ai/sdk'
import type { MessageParams, Problem } from '../../core/flow.ts'

/** A part of a user message that is made of a file. */
export type ContentBlock =
  | Anthropic.Messages.TextBlockParam
  | Anthropic.Messages.ImageBlockParam
  | Anthropic.Messages.DocumentBlockParam

/**
 * Puts blocks into the last user message, before what it says: the API's docs advise documents first, the question last.
 */
export function placeContent(
  params: MessageParams,
  blocks: readonly ContentBlock[],
): MessageParams | Problem {
  if (blocks.length === 0) return params
  const at = params.messages.findLastIndex(({ role }) => role === 'user')
  const message = params.messages[at]
  if (!message)
    return { type: 'no_user_message', message: 'there is no user message to attach a file to' }
  const { content } = message
  const said = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content
  return {
    ...params,
    messages: params.messages.with(at, { ...message, role: 'user', content: [...blocks, ...said] }),
  }
}
