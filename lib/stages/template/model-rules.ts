/**
 * The line and version of a model id such as `claude-opus-4-7` or `claude-haiku-5-5-20261007`; undefined for other shapes.
 */
function partsOf(model: unknown): { readonly line: string; readonly version: number } | undefined {
  if (typeof model !== 'string') return undefined
  const match = /^claude-([a-z]+)-(\d{1,2})(?:-(\d{1,2}))?(?:-\d{8})?$/.exec(model)
  const [, line = '', major, minor = 0] = match ?? []
  return match ? { line, version: Number(major) * 100 + Number(minor) } : undefined
}

/** The version of a model id; undefined for ids of another shape. */
export function versionOf(model: unknown): number | undefined {
  return partsOf(model)?.version
}

// Sources: API docs "Errors" and the SDK's notes on thinking: 4.6 ended prefill, 4.7 manual thinking.
const NO_PREFILL_SINCE = 406
const NO_MANUAL_THINKING_SINCE = 407

/** Whether a conversation may end with an assistant's text. Unknown models are assumed to allow it. */
export function takesPrefill(model: unknown): boolean {
  return (versionOf(model) ?? 0) < NO_PREFILL_SINCE
}

/** Whether `thinking: {type: "enabled"}` is allowed. Unknown models are assumed to allow it. */
export function takesManualThinking(model: unknown): boolean {
  return (versionOf(model) ?? 0) < NO_MANUAL_THINKING_SINCE
}

// Source: platform docs, "What's new". Versions by model line.
const NO_FORCED_TOOLS_SINCE = new Map([
  ['fable', 501],
  ['opus', 505],
  ['sonnet', 505],
])
const ALWAYS_THINKS_SINCE = new Map([
  ['fable', 500],
  ['opus', 505],
])

/** Whether `tool_choice` may force a tool. Unknown models are assumed to allow it. */
export function takesForcedTools(model: unknown): boolean {
  return isBefore(NO_FORCED_TOOLS_SINCE, model)
}

/** Whether `thinking: {type: "disabled"}` is allowed. Unknown models are assumed to allow it. */
export function takesDisabledThinking(model: unknown): boolean {
  return isBefore(ALWAYS_THINKS_SINCE, model)
}

function isBefore(since: ReadonlyMap<string, number>, model: unknown): boolean {
  const { line = '', version = 0 } = partsOf(model) ?? {}
  return version < (since.get(line) ?? Infinity)
}
