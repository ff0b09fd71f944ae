import type { Reply } from './wire.ts'

/** An error reply of the API. The checks throw it, `handle` turns it into a reply, and no user sees it. */
export class ApiError extends Error {
  readonly status: number
  readonly type: string
  readonly errorCode: string | undefined

  constructor(status: number, type: string, message: string, errorCode?: string) {
    super(message)
    this.status = status
    this.type = type
    this.errorCode = errorCode
  }
}

/** Returns a thrown ApiError and rethrows anything else. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  throw error
}

/** 400: the request breaks a rule. */
export function invalid(message: string): ApiError {
  return new ApiError(400, 'invalid_request_error', message)
}

/** 404: it does not exist, or not in this workspace. */
export function notFound(message: string): ApiError {
  return new ApiError(404, 'not_found_error', message)
}

/** 413, sent before the body is read, as the proxy in front of the API does. */
export function tooLarge(): ApiError {
  return new ApiError(413, 'request_too_large', 'Request exceeds the maximum size')
}

/** The error type that the API sends with a status, for a fault script that names only the status. */
export function typeOfStatus(status: number): string {
  return TYPES[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error')
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
}

/** The JSON body of an error. */
export function errorBody(
  type: string,
  message: string,
  errorCode: string | undefined,
  requestId: string,
): object {
  const details = errorCode === undefined ? {} : { details: { error_code: errorCode } }
  return { type: 'error', error: { type, message, ...details }, request_id: requestId }
}

/** A JSON reply with its length. */
export function json(
  status: number,
  value: object,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  const body = Buffer.from(JSON.stringify(value))
  return {
    status,
    headers: {
      'content-type': 'application/json',
      'content-length': String(body.length),
      ...headers,
    },
    body,
  }
}
