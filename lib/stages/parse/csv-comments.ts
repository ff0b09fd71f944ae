import { behindBreaks, nextLine } from './line-breaks.ts'
import { standsAt } from './stands-at.ts'

/** Describes valid comment prefixes: none that a row of this delimiter is likely to start with. */
export const COMMENT_WANTED =
  '1 to 8 characters without quotes, tabs or line breaks that do not start like the delimiter'

/** Whether comments can be distinguished from rows: a row whose first cell is empty starts with a delimiter. */
export function isCommentStart(text: string, delimiter: string): boolean {
  return (
    /^[^"\t\r\n]{1,8}$/.test(text) && !text.startsWith(delimiter) && !delimiter.startsWith(text)
  )
}

/** The first index from `from` that is neither a line end nor part of a comment; `from` is the start of a line. */
export function behindComments(bytes: Buffer, from: number, comment: Buffer): number {
  let at = behindBreaks(bytes, from)
  while (standsAt(bytes, at, comment)) at = behindBreaks(bytes, nextLine(bytes, at))
  return at
}

/** The text without leading comments and blank lines. */
export function withoutComments(text: string, comment: string): string {
  const bytes = Buffer.from(text)
  return bytes.toString('utf8', behindComments(bytes, 0, Buffer.from(comment)))
}
