/**
 * The body fields of a Messages request. Source: MessageCreateParamsBase of @anthropic-ai/sdk 1.14.0, including beta,
 * except those in `REFUSED`.
 */
export const KNOWN: ReadonlySet<string> = new Set([
  'billing_policy',
  'cache_control',
  'compaction',
  'container',
  'context_management',
  'diagnostics',
  'fallback_credit_token',
  'inference_geo',
  'max_tokens',
  'mcp_servers',
  'messages',
  'metadata',
  'model',
  'output_config',
  'output_format',
  'service_tier',
  'stop_sequences',
  'stream',
  'system',
  'thinking',
  'tool_choice',
  'tools',
  'user_profile_id',
])

const SAMPLING =
  'was removed in API version 2026-10-21; leave it out, and steer the answer in the prompt'
const THREAD =
  'keeps state between requests, which a batch cannot; send the whole conversation in `messages`'
const HINT = 'is not supported in batches; leave it out'

/**
 * Parameters that the API knows but rejects in a batch, and what to do instead. Sources: API docs "Batch processing",
 * "Versioning" and "Refusals and fallback" of autumn 2026.
 */
export const REFUSED: ReadonlyMap<string, string> = new Map([
  ['temperature', SAMPLING],
  ['top_p', SAMPLING],
  ['top_k', SAMPLING],
  ['speed', 'is not offered in batches; leave it out'],
  [
    'fallbacks',
    'makes a batch request fail; leave it out, and ask refused rows again with another model',
  ],
  ['store', THREAD],
  ['previous_thread_event_id', THREAD],
  ['thread', THREAD],
  ['cache_hint', HINT],
  ['context_hint', HINT],
  ['research_preview_2026_02', HINT],
  ['betas', 'is a header of the whole batch, not a field of a request; set it on the client'],
  [
    'workspace_id',
    'is a header of the whole batch, not a field of a request; set it on the client',
  ],
])
