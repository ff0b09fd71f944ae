/** What a result line must tell before it is trusted. */
export interface LineHead {
  readonly customId: string
  readonly type: string
}

/** Reads a line of a result set; undefined where it is none. The whole of it must parse: a cut line has a good head. */
export function readLine(line: Buffer): LineHead | undefined {
  let value: unknown
  try {
    value = JSON.parse(line.toString('utf8'))
  } catch {
    return undefined
  }
  // Both fields are checked before they are used.
  const { custom_id, result } = (value ?? {}) as {
    custom_id?: unknown
    result?: { type?: unknown } | null
  }
  if (typeof custom_id !== 'string' || typeof result?.type !== 'string') return undefined
  return { customId: custom_id, type: result.type }
}
