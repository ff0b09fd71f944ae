/** The custom_id of a request whose id nobody chose: the job's run, the attempt and the record's ordinal in base 36. */
export function formatId(run: string, attempt: number, ordinal: number): string {
  return `${run}-${attempt.toString(36)}-${ordinal.toString(36)}`
}

/** The ordinal in such an id; undefined where the id is not of this run and attempt. */
export function ordinalOf(customId: string, run: string, attempt: number): number | undefined {
  const prefix = `${run}-${attempt.toString(36)}-`
  if (!customId.startsWith(prefix)) return undefined
  const ordinal = parseInt(customId.slice(prefix.length), 36)
  return ordinal >= 0 && formatId(run, attempt, ordinal) === customId ? ordinal : undefined
}
