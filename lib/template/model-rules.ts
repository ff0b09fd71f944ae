/** Versions of a model id, as `claude-opus-4-7` or `claude-haiku-5-5-20261007` write them; undefined for other shapes. */
export function versionOf(model: unknown): number | undefined {
  if (typeof model !== 'string') return undefined
  const match = /^claude-[a-z]+-(\d{1,2})(?:-(\d{1,2}))?(?:-\d{8})?$/.exec(model)
  return match ? Number(match[1]) * 100 + Number(match[2] ?? 0) : undefined
}

// Sources: API docs "Errors" and the SDK's notes on thinking: 4.6 ended prefill, 4.7 manual thinking.
const NO_PREFILL_SINCE = 406
const NO_MANUAL_THINKING_SINCE = 407

/** False where the conversation must not end with an assistant's text. A model of unknown version is given the benefit. */
export function takesPrefill(model: unknown): boolean {
  return (versionOf(model) ?? 0) < NO_PREFILL_SINCE
}

/** False where `thinking: {type: "enabled"}` is an error. A model of unknown version is given the benefit. */
export function takesManualThinking(model: unknown): boolean {
  return (versionOf(model) ?? 0) < NO_MANUAL_THINKING_SINCE
}
