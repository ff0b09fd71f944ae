import { inflateSync } from 'node:zlib'

/** The most pages of a request. Source: API docs, "PDF support". */
const MOST_PAGES = 600

/** A file with more text than this is not read further: it has more tokens than the longest context of a model. */
const MAX_TEXT_BYTES = 1_000_000

/** More bytes than the compressed objects of 600 pages have. */
const MAX_OBJECT_BYTES = 16_000_000

/** A part that is shown more often, or by parts of parts to a greater depth, has more text than any prompt. */
const MOST_TIMES = 1_000_000_000
const MAX_DEPTH = 100

/** What decides how many tokens a PDF has: an image of each page, and the text of all. */
export interface PdfSize {
  readonly pages: number
  /** At least the bytes of its text, as often as pages show it. */
  readonly text: number
}

interface PdfStream {
  /** The number of its object. */
  readonly id: string
  readonly dictionary: string
  readonly bytes: Buffer
}

// What repeats before something else is bounded, so that each expression takes linear time.
const STREAM = /stream\r?\n/g
const OBJECT = /(\d{1,10})\s{1,9}\d{1,5}\s{1,9}obj\b/g
const REFERENCE = /(\d{1,10})\s{1,9}\d{1,5}\s{1,9}R\b/g
const NAMED_REFERENCE = /(\/[^\s/<>[\]()]{1,127})\s{0,9}(\d{1,10})\s{1,9}\d{1,5}\s{1,9}R\b/g
const DRAWN = /(\/[^\s/<>[\]()]{1,127})\s{0,9}Do\b/g
const PAGE = /\/Type\s{0,9}\/Page(?![A-Za-z])/g
const KIDS = /\/Kids\s{0,9}(\[[^\]]*|)/g
const CONTENTS = /\/Contents\s{0,9}(\[[^\]]*|\d{1,10}\s{1,9}\d{1,5}\s{1,9}R\b)/g
const FONT_OR_PROFILE = /\/(?:FontFile[23]?|ICCBased)\s{0,9}(\d{1,10}\s{1,9}\d{1,5}\s{1,9}R\b)/g
const FILTERS = /\/Filter\s{0,9}(\[[^\]]{0,99}\]|\/\w{1,99})/
const PLAIN_FILTER = /^\[?\s*\/(?:FlateDecode|Fl)\s*\]?$/
/** Streams without text, unless a page names them as its content. */
const WITHOUT_TEXT = /\/Subtype\s{0,9}\/(?:Image|XML)\b|\/Type\s{0,9}\/XRef\b/
const PACKED_OBJECTS = /\/Type\s{0,9}\/ObjStm\b/

/**
 * The size of a PDF as programs write it; undefined if it has more than 1 MB of text, or if it cannot be told: encrypted, damaged,
 * compressed in another way than usual, or with a page that occurs twice in its tree. A file that was made to mislead may have more.
 */
export function pdfSize(bytes: Buffer): PdfSize | undefined {
  // Each byte is a character, so that places are the same.
  const file = bytes.toString('latin1')
  if (file.includes('/Encrypt')) return undefined
  const parts = partsOf(file, bytes)
  if (!parts) return undefined
  const packed = parts.streams.filter(({ dictionary }) => PACKED_OBJECTS.test(dictionary))
  const unpacked = contentsOf(packed, MAX_OBJECT_BYTES)
  if (!unpacked) return undefined
  const objects = [...parts.between, ...unpacked].join('\n')
  const kids = [...objects.matchAll(KIDS)].map(([, list]) => idsIn(String(list)))
  const listed = kids.flat()
  if (kids.some(ids => ids.length === 0) || new Set(listed).size < listed.length) return undefined
  const pages = Math.max(objects.match(PAGE)?.length ?? 0, listed.length)
  const text = textOf(parts.streams, objects)
  if (pages === 0 || text === undefined) return undefined
  return { pages: Math.min(pages, MOST_PAGES), text }
}

/** The streams of a file, and what is between them; undefined if one does not end. */
function partsOf(
  file: string,
  bytes: Buffer,
): { readonly streams: readonly PdfStream[]; readonly between: readonly string[] } | undefined {
  const streams: PdfStream[] = []
  const between: string[] = []
  let at = 0
  for (const { index, 0: word } of file.matchAll(STREAM)) {
    // The word is also the end of `endstream`, and may be in a stream.
    if (index < at || file.startsWith('end', index - 3)) continue
    const start = index + word.length
    const end = file.indexOf('endstream', start)
    if (end === -1) return undefined
    const before = file.slice(at, index)
    between.push(before)
    at = end
    const object = [...before.matchAll(OBJECT)].at(-1)
    const dictionary = before.slice(object?.index)
    streams.push({ id: object?.[1] ?? '', dictionary, bytes: bytes.subarray(start, end) })
  }
  return { streams, between: [...between, file.slice(at)] }
}

/** The bytes of text in streams, as often as pages show each; undefined if one cannot be read. */
function textOf(streams: readonly PdfStream[], objects: string): number | undefined {
  const named = [...objects.matchAll(CONTENTS)].flatMap(([, list]) => idsIn(String(list)))
  const ofPages = countEach(named)
  const ids = new Set(streams.map(({ id }) => id))
  // A list of contents in an object of its own.
  if (named.some(id => !ids.has(id))) return undefined
  const fonts = new Set(
    [...objects.matchAll(FONT_OR_PROFILE)].flatMap(([, one]) => idsIn(String(one))),
  )
  const withText = streams.filter(
    ({ id, dictionary }) => ofPages.has(id) || !(fonts.has(id) || WITHOUT_TEXT.test(dictionary)),
  )
  const contents = contentsOf(withText, MAX_TEXT_BYTES)
  if (!contents) return undefined
  const shown = withText.map(({ id }, index) => ({ id, content: String(contents[index]) }))
  const times = timesShown(shown, objects, ofPages)
  return shown.reduce((sum, { id, content }) => sum + content.length * times(id), 0)
}

/** How often the pages of a file show a stream: as content, and as a part that others draw by a name. */
function timesShown(
  shown: readonly { readonly id: string; readonly content: string }[],
  objects: string,
  ofPages: ReadonlyMap<string, number>,
): (id: string) => number {
  const names = new Map<string, Set<string>>()
  for (const [, name, id] of objects.matchAll(NAMED_REFERENCE)) {
    const known = names.get(String(id)) ?? new Set()
    names.set(String(id), known.add(String(name)))
  }
  const drawnBy = new Map<string, { readonly id: string; readonly count: number }[]>()
  for (const { id, content } of shown) {
    const drawn = countEach([...content.matchAll(DRAWN)].map(([, name]) => String(name)))
    for (const [name, count] of drawn) {
      const by = drawnBy.get(name) ?? []
      by.push({ id, count })
      drawnBy.set(name, by)
    }
  }
  const known = new Map<string, number>()
  const times = (id: string, depth: number): number => {
    const before = known.get(id)
    if (before !== undefined) return before
    // Also the answer for a part that draws itself.
    known.set(id, MOST_TIMES)
    if (depth > MAX_DEPTH) return MOST_TIMES
    let sum = ofPages.get(id) ?? 0
    for (const name of names.get(id) ?? [])
      for (const by of drawnBy.get(name) ?? []) sum += by.count * times(by.id, depth + 1)
    const total = Math.min(Math.max(sum, 1), MOST_TIMES)
    known.set(id, total)
    return total
  }
  return id => times(id, 0)
}

function idsIn(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map(([, id]) => String(id))
}

function countEach(all: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const one of all) counts.set(one, (counts.get(one) ?? 0) + 1)
  return counts
}

/** The contents of streams; undefined if one cannot be read, or if they have more bytes together than `most`. */
function contentsOf(streams: readonly PdfStream[], most: number): string[] | undefined {
  const contents: string[] = []
  let left = most
  for (const stream of streams) {
    const content = contentOf(stream, left)
    if (content === undefined || content.length > left) return undefined
    left -= content.length
    contents.push(content)
  }
  return contents
}

/** The decoded bytes of a stream, each as a character; undefined if they cannot be read, or are more than `most`. */
function contentOf({ dictionary, bytes }: PdfStream, most: number): string | undefined {
  if (!dictionary.includes('/Filter')) return bytes.toString('latin1')
  const filters = FILTERS.exec(dictionary)?.[1]
  if (filters === undefined || !PLAIN_FILTER.test(filters)) return undefined
  try {
    return inflateSync(bytes, { maxOutputLength: Math.max(1, most) }).toString('latin1')
  } catch {
    return undefined
  }
}
