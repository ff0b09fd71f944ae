import type { Result } from '../../core/results/result.ts'

/**
 * Errors that say nothing about the request, which can be retried unchanged. Source: the SDK's ErrorObject union and the
 * docs on batch results ("can be retried directly"). All others (invalid_request, billing, permission ...) would fail again.
 */
const TRANSIENT_ERRORS = new Set([
  'api_error',
  'overloaded_error',
  'rate_limit_error',
  'timeout_error',
])

/** Whether a failure is retried by default. Cancelation is deliberate, so only the `retry` command retries a canceled request. */
export function isTransient({ status, error }: Pick<Result, 'status' | 'error'>): boolean {
  return status === 'expired' || (status === 'errored' && TRANSIENT_ERRORS.has(error?.type ?? ''))
}
