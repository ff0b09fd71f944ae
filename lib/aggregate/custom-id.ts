/** The custom_id of a request whose id nobody chose: the job's run, the attempt and the record's ordinal in base 36. */
export function formatId(run: string, attempt: number, ordinal: number): string {
  return idPrefix(run, attempt) + ordinal.toString(36)
}

/** What all ids of a run and attempt begin with. */
export function idPrefix(run: string, attempt: number): string {
  return `${run}-${attempt.toString(36)}-`
}

/** The ordinal in such an id; undefined where the id does not begin so. */
export function ordinalOf(customId: string, prefix: string): number | undefined {
  if (!customId.startsWith(prefix)) return undefined
  const digits = customId.slice(prefix.length)
  const ordinal = parseInt(digits, 36)
  return ordinal >= 0 && ordinal.toString(36) === digits ? ordinal : undefined
}
