import { behindBreaks, nextLine } from './line-breaks.ts'
import { standsAt } from './stands-at.ts'

/** What a comment may begin with: nothing that a row of this delimiter could begin with unless somebody meant it. */
export const COMMENT_WANTED =
  '1 to 8 characters that are no quotes, tabs or line breaks and do not begin as the delimiter does'

/** Whether lines that begin with this text can be told from rows: a row whose first cell is empty begins with a delimiter. */
export function isCommentStart(text: string, delimiter: string): boolean {
  return (
    /^[^"\t\r\n]{1,8}$/.test(text) && !text.startsWith(delimiter) && !delimiter.startsWith(text)
  )
}

/** The first index from `from` on where neither a line end nor a comment stands; `from` begins a line. */
export function behindComments(bytes: Buffer, from: number, comment: Buffer): number {
  let at = behindBreaks(bytes, from)
  while (standsAt(bytes, at, comment)) at = behindBreaks(bytes, nextLine(bytes, at))
  return at
}

/** The text without the comments and blank lines before its first other line. */
export function withoutComments(text: string, comment: string): string {
  const bytes = Buffer.from(text)
  return bytes.toString('utf8', behindComments(bytes, 0, Buffer.from(comment)))
}
