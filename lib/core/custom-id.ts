/** What the custom_ids that nobody chose begin with: the job's run and the attempt. */
export function idPrefix(run: string, attempt: number): string {
  return `${run}-${attempt.toString(36)}-`
}

/** Such an id: behind the prefix the record's ordinal in base 36. */
export function formatId(prefix: string, ordinal: number): string {
  return prefix + ordinal.toString(36)
}

/** The ordinal in such an id; undefined where the id does not begin so. */
export function ordinalOf(customId: string, prefix: string): number | undefined {
  if (!customId.startsWith(prefix)) return undefined
  const digits = customId.slice(prefix.length)
  const ordinal = parseInt(digits, 36)
  return ordinal >= 0 && ordinal.toString(36) === digits ? ordinal : undefined
}
