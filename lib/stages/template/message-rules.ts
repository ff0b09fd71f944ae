import { takesPrefill } from './model-rules.ts'

/** What the API would reject in a conversation, as sentences. Undefined `messages` are not checked. */
export function wrongMessages(messages: unknown, model: unknown): string[] {
  if (messages === undefined) return []
  if (!Array.isArray(messages) || messages.length === 0)
    return ['`messages` must be a list of at least one message']
  const wrong: string[] = []
  if (!takesPrefill(model) && endsInPrefill(messages.at(-1))) {
    wrong.push(
      `\`messages\` end with an assistant's text, which ${String(model)} does not continue; end them with a user message`,
    )
  }
  if (
    messages.some(message => roleOf(message) === 'assistant' && blocksOf(message).some(isDocument))
  ) {
    wrong.push('a `document` block in an assistant message is refused; move it to a user message')
  }
  if (messages.some(message => roleOf(message) === 'user' && blocksOf(message).some(isCited))) {
    wrong.push('`citations` on a text block of a user message are refused; leave them out')
  }
  return wrong
}

// An assistant turn that ends with a tool block continues a paused turn, which is allowed.
function endsInPrefill(message: unknown): boolean {
  if (roleOf(message) !== 'assistant') return false
  if (typeof member(message, 'content') === 'string') return true
  return member(blocksOf(message).at(-1), 'type') === 'text'
}

function isDocument(block: unknown): boolean {
  return member(block, 'type') === 'document'
}

function isCited(block: unknown): boolean {
  const citations = member(block, 'citations')
  return member(block, 'type') === 'text' && Array.isArray(citations) && citations.length > 0
}

function roleOf(message: unknown): unknown {
  return member(message, 'role')
}

function blocksOf(message: unknown): readonly unknown[] {
  const content = member(message, 'content')
  return Array.isArray(content) ? content : []
}

/** An object's own member; undefined if there is none. */
export function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  // An object's own member may be read by name; its type stays unknown.
  return (value as Readonly<Record<string, unknown>>)[name]
}
