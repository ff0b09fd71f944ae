import type { Result } from '../../core/results/result.ts'

/**
 * Errors that say nothing about the request: it can be asked again as it is. Source: the SDK's ErrorObject union and the
 * docs on batch results ("can be retried directly"). All others (invalid_request, billing, permission ...) would fail again.
 */
const PASSING = new Set(['api_error', 'overloaded_error', 'rate_limit_error', 'timeout_error'])

/** Is this failure worth another try? What was canceled was canceled by somebody: only `retry` asks for it again. */
export function isPassing({ status, error }: Pick<Result, 'status' | 'error'>): boolean {
  return status === 'expired' || (status === 'errored' && PASSING.has(error?.type ?? ''))
}
