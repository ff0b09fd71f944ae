import type { Result } from '../results/result.ts'

/** What a row shows of an answer: the response, and the text of one that breaks the schema. */
export interface Answer {
  readonly response: unknown
  readonly text?: string | null
}

/** An answer that breaks the schema must not stand where users look for a good one; its paid text is kept apart. */
export function answerOf(result: Result): Answer {
  if (result.status === 'invalid') return { response: null, text: result.response }
  return { response: result.value }
}
