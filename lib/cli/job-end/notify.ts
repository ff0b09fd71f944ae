import { randomUUID, createHmac } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Io } from '../io.ts'
import { proxied } from '../proxy.ts'

/** All tries together take no longer. */
const MOST_MS = 10_000
const FIRST_WAIT_MS = 500

export interface Notice {
  readonly url: string
  readonly body: string
  readonly env: Io['env']
  readonly clock: Clock
  /** Ends it at once. */
  readonly signal: AbortSignal
  /** @default 10000 */
  readonly mostMs?: number
}

/**
 * POSTs a JSON text, again and again while the other side is away or busy, for ten seconds at most. Gives the reason why it
 * could not be told; undefined when it was. What is said never holds the URL, which is a secret more often than not.
 */
export async function notify(notice: Notice): Promise<string | undefined> {
  const { url, body, env, clock } = notice
  const signal = AbortSignal.any([notice.signal, AbortSignal.timeout(notice.mostMs ?? MOST_MS)])
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
    // Somebody else's address was not agreed on.
    redirect: 'manual',
    signal,
  } as const
  let why = 'no answer came'
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

/** What fetch throws says nothing; what broke stands in its cause. */
function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause
  const code = inner instanceof Error && 'code' in inner ? inner.code : undefined
  return typeof code === 'string' ? `the connection failed (${code})` : 'the connection failed'
}

interface Signed {
  /** The same for every try, so that a message that comes twice can be told. */
  readonly id: string
  /** Seconds since 1970. */
  readonly timestamp: number
  readonly body: string
}

/**
 * The headers of a webhook by the Standard Webhooks specification, whose libraries can check them; without a secret there is
 * no signature. A secret that begins with `whsec_` is base64, as that specification has it; any other is taken as it is.
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
