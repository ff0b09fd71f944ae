import { invalid } from './api-error.ts'
import type { Model } from './models.ts'
import { isObject, type JsonObject } from './validate.ts'

/** Checks `messages`. `strict` is true from API version 2026-10-21. */
export function checkMessages(messages: unknown, strict: boolean, model: Model): void {
  if (messages === undefined) throw invalid('messages: Field required')
  if (!Array.isArray(messages)) throw invalid('messages: Input should be a valid list')
  if (messages.length === 0) throw invalid('messages: at least one message is required')
  messages.forEach((message: unknown, at) => checkMessage(message, `messages.${at}`, strict))
  // checkMessage checked each of them.
  const last = messages.at(-1) as JsonObject
  if (last['role'] === 'assistant' && model.generation >= 4.6) {
    throw invalid(
      'This model does not support assistant message prefill. The conversation must end with a user message.',
    )
  }
}

function checkMessage(message: unknown, at: string, strict: boolean): void {
  if (!isObject(message)) throw invalid(`${at}: Input should be a valid dictionary`)
  const { role, content } = message
  for (const key in message) {
    if (key !== 'role' && key !== 'content')
      throw invalid(`${at}.${key}: Extra inputs are not permitted`)
  }
  if (role !== 'user' && role !== 'assistant' && role !== 'system') {
    throw invalid(`${at}.role: Input should be 'user', 'assistant' or 'system'`)
  }
  if (content === undefined) throw invalid(`${at}.content: Field required`)
  if (content === '') throw invalid(`${at}: ${role} messages must have non-empty content`)
  if (typeof content === 'string') return
  if (!Array.isArray(content)) throw invalid(`${at}.content: Input should be a valid list`)
  if (content.length === 0) throw invalid(`${at}: ${role} messages must have non-empty content`)
  content.forEach((block: unknown, i) => checkBlock(block, `${at}.content.${i}`, role, strict))
}

function checkBlock(block: unknown, at: string, role: string, strict: boolean): void {
  if (!isObject(block)) throw invalid(`${at}: Input should be a valid dictionary`)
  const { type, citations } = block
  if (typeof type !== 'string') throw invalid(`${at}.type: Field required`)
  if (type === 'text') checkText(block, at)
  if (!strict) return
  if (type === 'document' && role === 'assistant')
    throw invalid(`${at}: document blocks are not permitted in assistant messages`)
  if (type === 'text' && role === 'user' && Array.isArray(citations) && citations.length > 0) {
    throw invalid(`${at}.text.citations: Extra inputs are not permitted`)
  }
}

function checkText(block: JsonObject, at: string): void {
  const { text } = block
  if (typeof text !== 'string') throw invalid(`${at}.text.text: Field required`)
  if (text === '') throw invalid('messages: text content blocks must be non-empty')
  if (/^\s+$/.test(text))
    throw invalid('messages: text content blocks must contain non-whitespace text')
}

/** Checks `system`: a string or text blocks. */
export function checkSystem(system: unknown): void {
  if (system === undefined || typeof system === 'string') return
  if (!Array.isArray(system)) throw invalid('system: Input should be a valid list')
  system.forEach((block: unknown, i) => {
    if (!isObject(block) || block['type'] !== 'text')
      throw invalid(`system.${i}.type: Input should be 'text'`)
    if (typeof block['text'] !== 'string' || block['text'] === '')
      throw invalid('system: text content blocks must be non-empty')
  })
}
