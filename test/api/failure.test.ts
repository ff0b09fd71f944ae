import {
  APIConnectionError,
  APIConnectionTimeoutError,
  APIError,
  APIUserAbortError,
} from '@anthropic-ai/sdk'
import t from 'tap'
import { failureOf, type Failure } from '../../lib/api/failure.ts'

function answered(
  status: number,
  error: { type?: string; message?: string; error_code?: string } = {},
  headers: Record<string, string> = {},
): APIError {
  const { type = 'x', message = 'm', error_code } = error
  const body = {
    type: 'error',
    error: { type, message, ...(error_code && { details: { error_code } }) },
  }
  return APIError.generate(status, body, message, new Headers(headers))
}

const table: readonly [number, Parameters<typeof answered>[1], Failure['kind']][] = [
  [302, {}, 'redirect'],
  [304, {}, 'server'],
  [307, {}, 'redirect'],
  [400, {}, 'refused'],
  [400, { error_code: 'organization_on_hold' }, 'access'],
  [400, { error_code: 'cmek_key_disabled' }, 'access'],
  [400, { error_code: 'claude_code_key_creator_not_member' }, 'access'],
  [
    400,
    { message: 'You have reached your specified API usage limits. You will regain access' },
    'access',
  ],
  [400, { message: 'You have reached your specified workspace API usage limits.' }, 'access'],
  [400, { error_code: 'workspace_human_review_disabled' }, 'access'],
  [
    400,
    { message: 'Your credit balance is too low to access the Anthropic API. Please go to Plans' },
    'access',
  ],
  [401, {}, 'access'],
  [402, {}, 'access'],
  [403, {}, 'access'],
  [404, {}, 'notFound'],
  [408, {}, 'server'],
  [409, {}, 'server'],
  [413, {}, 'tooLarge'],
  [422, {}, 'refused'],
  [425, {}, 'server'],
  [460, {}, 'server'],
  [499, {}, 'server'],
  [429, {}, 'busy'],
  [429, { error_code: 'ramp_limit_exceeded' }, 'busy'],
  [429, { error_code: 'enforced_spend_limit_reached' }, 'access'],
  [429, { error_code: 'contract_spend_limit_reached' }, 'access'],
  [500, {}, 'server'],
  [503, { error_code: 'cmek_key_unreachable' }, 'server'],
  [504, { type: 'timeout_error' }, 'server'],
  [529, { type: 'overloaded_error' }, 'server'],
]

for (const [status, error, kind] of table) {
  void t.test(`${status} ${JSON.stringify(error)} is ${kind}`, async t => {
    const failure = failureOf(answered(status, error), 0)
    t.match(failure, { kind, status })
    t.match(failure.message, `the API answered ${status}: `)
  })
}

for (const [name, cause, kind, message] of [
  [
    'a connection that failed',
    new APIConnectionError({
      cause: new Error('fetch failed', { cause: new Error('ECONNRESET') }),
    }),
    'network',
    'ECONNRESET',
  ],
  ['a connection without a word', new APIConnectionError({ message: 'gone' }), 'network', 'gone'],
  ['a timeout', new APIConnectionTimeoutError(), 'network', /timed out/],
  ['a call that was given up', new APIUserAbortError(), 'network', /aborted/],
  [
    'an error of the SDK without a status',
    new APIError(undefined, undefined, 'odd', undefined),
    'network',
    /odd/,
  ],
  ['a body that breaks off', new TypeError('terminated'), 'network', 'terminated'],
  [
    'a body that is aborted',
    new DOMException('This operation was aborted', 'AbortError'),
    'network',
    /aborted/,
  ],
  ['half a JSON', new SyntaxError('Unexpected end of JSON input'), 'malformed', /JSON/],
  ['a long complaint', new Error('x'.repeat(2000)), 'malformed', /^x{1000}…$/],
  ['a thrown text', 'what', 'malformed', 'what'],
] as const) {
  void t.test(`${name} is ${kind}`, async t => {
    t.match(failureOf(cause, 0), { kind, message, status: null })
  })
}

void t.test('a reply gives the wait and its own message', async t => {
  t.match(failureOf(answered(429, { message: 'slow down' }, { 'retry-after': '7' }), 0), {
    retryAfterMs: 7000,
    message: /slow down/,
  })
})

t.test('an error of another copy of the SDK is recognised by its shape', async t => {
  class APIError extends Error {
    readonly status = 429
    readonly headers = new Headers({ 'retry-after': '7' })
    readonly requestID = null
    readonly errorCode = null
    readonly apiMessage = 'slow down'
  }
  t.match(failureOf(new APIError('429'), 0), {
    kind: 'busy',
    status: 429,
    retryAfterMs: 7000,
    message: 'the API answered 429: slow down',
  })
})
