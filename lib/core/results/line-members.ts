/** Where one value of a line lies, `end` not included. */
export interface Place {
  readonly start: number
  readonly end: number
}

/** The members that are looked at, by the object they stand in; all others are stepped over. */
export const MEMBERS: Readonly<Record<'line' | 'result' | 'message' | 'block', readonly Member[]>> =
  {
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

/** Values that are kept as a place, and those that are walked into. */
export type Kept =
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

export interface Member {
  readonly name: string
  /** The name as it stands in a line, quotes included. */
  readonly bytes: Buffer
  readonly part: Kept | Walked
}

function named(parts: Readonly<Record<string, Kept | Walked>>): readonly Member[] {
  return Object.entries(parts).map(([name, part]) => ({
    name,
    bytes: Buffer.from(`"${name}"`),
    part,
  }))
}
