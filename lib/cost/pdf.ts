import { inflateSync } from 'node:zlib'

/** The most pages of a request. Source: API docs, "PDF support". */
const MOST_PAGES = 600

/** More than a page can have; a stream that grows beyond it is not decoded. */
const MAX_STREAM_BYTES = 64_000_000

/** What decides how many tokens a PDF has: an image of each page, and the text of all. */
export interface PdfSize {
  readonly pages: number
  /** At least the bytes of its text. */
  readonly text: number
}

const PAGE = /\/Type\s*\/Page(?![A-Za-z])/g
const STREAM = /stream\r?\n/g
/** Streams without text: images, fonts, metadata and tables of the file. */
const WITHOUT_TEXT =
  /\/Subtype\s*\/(?:Image|Type1C|CIDFontType0C|OpenType|XML)\b|\/Length1\b|\/Type\s*\/XRef\b/
/** A part of pages that any number of them may show. */
const FORM = /\/Subtype\s*\/Form\b/

/** The size of a PDF; undefined if it cannot be read: encrypted, damaged, or compressed in another way than usual. */
export function pdfSize(bytes: Buffer): PdfSize | undefined {
  // Each byte is a character, so that places are the same.
  const file = bytes.toString('latin1')
  if (file.includes('/Encrypt')) return undefined
  let pages = count(file)
  let text = 0
  let shared = 0
  let at = 0
  for (const { index, 0: word } of file.matchAll(STREAM)) {
    // The word is also the end of `endstream`, and may be in a stream.
    if (index < at || file.startsWith('end', index - 3)) continue
    const start = index + word.length
    const end = file.indexOf('endstream', start)
    if (end === -1) return undefined
    const described = file.slice(Math.max(at, file.lastIndexOf('obj', index)), index)
    at = end
    if (WITHOUT_TEXT.test(described)) continue
    const content = contentOf(bytes.subarray(start, end), described)
    if (!content) return undefined
    pages += count(content.toString('latin1'))
    if (FORM.test(described)) shared += content.length
    else text += content.length
  }
  if (pages === 0) return undefined
  const taken = Math.min(pages, MOST_PAGES)
  return { pages: taken, text: text + shared * taken }
}

function count(text: string): number {
  return text.match(PAGE)?.length ?? 0
}

function contentOf(stream: Buffer, described: string): Buffer | undefined {
  if (!described.includes('/Filter')) return stream
  const filters = /\/Filter\s*(\[[^\]]*\]|\/\w+)/.exec(described)?.[1]
  if (filters === undefined || !/^\[?\s*\/(?:FlateDecode|Fl)\s*\]?$/.test(filters)) return undefined
  try {
    return inflateSync(stream, { maxOutputLength: MAX_STREAM_BYTES })
  } catch {
    return undefined
  }
}
