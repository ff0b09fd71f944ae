import { hash } from 'node:crypto'
import type Anthropic from '@anthropic-ai/sdk'
import type { MessageParams } from '../core/flow.ts'
import type { JsonObject } from './validate.ts'

/** Characters of the question that the default answer repeats. */
const REPEATED = 40

/** What a `respond` function may return for a request. */
export type Answer =
  /** The text of the answer. */
  | string
  /** The content of the answer. */
  | readonly Anthropic.Messages.ContentBlock[]
  /** Members of the message that replace the defaults. */
  | Partial<Anthropic.Messages.Message>
  /** The request fails, and is not billed. */
  | {
      /** Why the request fails. */
      readonly error: {
        /** The API's type of error. */
        readonly type: string
        /** The API's message. */
        readonly message: string
      }
    }
  /** The batch expires before this request is answered. */
  | {
      /** Always true. */
      readonly expired: true
    }
  /** The batch is canceled before this request is answered. */
  | {
      /** Always true. */
      readonly canceled: true
    }

/** What a `respond` function receives besides the params. */
export interface AnswerContext {
  /** The request's custom_id; null for a synchronous call of the Messages API. */
  readonly custom_id: string | null
  /** How many requests with the same params were processed, including this one. */
  readonly attempt: number
}

/**
 * Answers one request; undefined gives the default answer. It is called once per request, when the batch is first read after
 * its end. An exception becomes an `api_error` row with its message.
 */
export type Respond = (
  params: MessageParams,
  about: AnswerContext,
) => Answer | undefined | Promise<Answer | undefined>

/**
 * The emulator's default answer to a text: `echo <first 12 hex digits of its SHA-256>: <its first 40 characters>`, so that
 * a test can check that each row has its own answer.
 */
export function echo(text: string): string {
  return `echo ${hash('sha256', text).slice(0, 12)}: ${text.slice(0, REPEATED)}`
}

/** The text of the last user message of a request: its text blocks joined; empty if there is none. */
export function lastUserText(params: object): string {
  // Invalid messages were rejected before.
  const messages = (params as { messages: readonly JsonObject[] }).messages
  const content = messages.findLast(message => message['role'] === 'user')?.['content'] ?? ''
  if (typeof content === 'string') return content
  // Likewise: content is a string or an array of blocks.
  const blocks = content as readonly { readonly type: string; readonly text?: string }[]
  return blocks.flatMap(block => (block.type === 'text' ? [block.text] : [])).join('')
}

/** The key under which the ledger counts a request: the SHA-256 of the JSON of its params, as 64 hex digits. */
export function requestKey(params: object): string {
  return hash('sha256', JSON.stringify(params))
}
