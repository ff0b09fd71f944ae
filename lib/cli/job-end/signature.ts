import { createHmac } from 'node:crypto'

export interface Signed {
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
