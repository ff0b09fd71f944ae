/** The place of a value in a line; `end` is exclusive. */
export interface LineRange {
  readonly start: number
  readonly end: number
}

/** The members that are read, by the object that contains them; all others are skipped. */
export const MEMBERS: Readonly<
  Record<'line' | 'result' | 'message' | 'block', readonly KnownMember[]>
> = {
  line: named({ custom_id: 'customId', result: 'result' }),
  result: named({ type: 'type', message: 'message', error: 'error' }),
  message: named({
    content: 'content',
    model: 'model',
    stop_reason: 'stopReason',
    stop_details: 'stopDetails',
    usage: 'usage',
  }),
  block: named({ type: 'blockType', text: 'blockText' }),
}

/** Values whose place is kept, and values that are walked. */
export type RecordedPart =
  | 'customId'
  | 'type'
  | 'error'
  | 'model'
  | 'stopReason'
  | 'stopDetails'
  | 'usage'
  | 'blockType'
  | 'blockText'
export type Walked = 'result' | 'message' | 'content'

export interface KnownMember {
  readonly name: string
  /** The name as it appears in a line, including its quotes. */
  readonly bytes: Buffer
  readonly part: RecordedPart | Walked
}

function named(parts: Readonly<Record<string, RecordedPart | Walked>>): readonly KnownMember[] {
  return Object.entries(parts).map(([name, part]) => ({
    name,
    bytes: Buffer.from(`"${name}"`),
    part,
  }))
}
