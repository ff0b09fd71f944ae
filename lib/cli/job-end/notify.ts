import { randomUUID, createHmac } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Io } from '../io.ts'
import { proxied } from '../proxy.ts'

/** Time limit for all tries together. */
const MOST_MS = 10_000
const FIRST_WAIT_MS = 500

export interface Notice {
  readonly url: string
  readonly body: string
  readonly env: Io['env']
  readonly clock: Clock
  /** Aborts at once. */
  readonly signal: AbortSignal
  /** @default 10000 */
  readonly mostMs?: number
}

/**
 * POSTs a JSON text, and retries for up to ten seconds while the server is unreachable or busy. Returns the reason of a
 * failure; undefined on success. The reason never contains the URL, which is often a secret.
 */
export async function notify(notice: Notice): Promise<string | undefined> {
  const late = new AbortController()
  // Not AbortSignal.timeout: nothing else would hold that signal, and one that is garbage-collected never aborts.
  const timer = setTimeout(() => late.abort(), notice.mostMs ?? MOST_MS)
  try {
    return await post(notice, AbortSignal.any([notice.signal, late.signal]))
  } finally {
    clearTimeout(timer)
  }
}

async function post(
  { url, body, env, clock }: Notice,
  signal: AbortSignal,
): Promise<string | undefined> {
  const timestamp = Math.floor(clock.now() / 1000)
  const signed = { id: `msg_${randomUUID()}`, timestamp, body }
  const { fetch = globalThis.fetch, fetchOptions } = await proxied(env, url)
  const request = {
    ...fetchOptions,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'claude-batch-stream',
      ...webhookHeaders(signed, env['CLAUDE_BATCH_STREAM_NOTIFY_SECRET']),
    },
    body,
    // The user did not agree to another address.
    redirect: 'manual',
    signal,
  } as const
  let why = 'there was no reply'
  for (let waitMs = FIRST_WAIT_MS; !signal.aborted; waitMs *= 2) {
    const status = await fetch(url, request).then(
      async response => {
        await response.body?.cancel()
        return response.status
      },
      (cause: unknown) => {
        if (!signal.aborted) why = reasonOf(cause)
        return undefined
      },
    )
    if (status !== undefined && status >= 200 && status < 300) return undefined
    if (status !== undefined) why = `it answered ${status}`
    if (status !== undefined && !isPassing(status)) return why
    await clock.sleep(waitMs, signal).catch(() => {})
  }
  return why
}

function isPassing(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429
}

/** fetch's own message says nothing; the reason is in its cause. */
function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause
  const code = inner instanceof Error && 'code' in inner ? inner.code : undefined
  return typeof code === 'string' ? `the connection failed (${code})` : 'the connection failed'
}

interface Signed {
  /** The same for every try, so that the receiver can detect duplicates. */
  readonly id: string
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly body: string
}

/**
 * The webhook headers of the Standard Webhooks specification, whose libraries can verify them. Without a secret there is no
 * signature. A secret with the prefix `whsec_` is base64, as the specification defines; any other is used as it is.
 */
export function webhookHeaders(
  { id, timestamp, body }: Signed,
  secret: string | undefined,
): Record<string, string> {
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(timestamp) }
  if (!secret) return headers
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : secret
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { ...headers, 'webhook-signature': `v1,${signature}` }
}
