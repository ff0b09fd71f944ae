/** A file that a request holds as it is. */
export type MediaType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp' | 'application/pdf'

/** First bytes that it takes to know. */
export const HEAD_BYTES = 12

/**
 * What a file is by its first bytes: its name may say anything, and the API refuses an image whose bytes are of another
 * type. Undefined for all that is neither image nor PDF.
 */
export function mediaTypeOf(head: Buffer): MediaType | undefined {
  const text = head.toString('latin1', 0, HEAD_BYTES)
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'image/gif'
  if (text.startsWith('RIFF') && text.endsWith('WEBP')) return 'image/webp'
  return text.startsWith('%PDF-') ? 'application/pdf' : undefined
}

/** Kinds of files that are no text and that the API does not take, by how they begin. */
const FOREIGN: readonly [RegExp, string][] = [
  [/^(?:II\*\0|MM\0\*)/, 'a TIFF image'],
  [/^BM.{4}\0{4}/s, 'a BMP image'],
  [/^.{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)/s, 'a HEIC image'],
  [/^.{4}ftypavi[fs]/s, 'an AVIF image'],
  [/^\0\0\x01\0/, 'an icon'],
  [/^PK\x03\x04/, 'a ZIP archive, as DOCX and XLSX files are'],
  [/^\xd0\xcf\x11\xe0/, 'an Office file of an old format'],
  [/^\x1f\x8b/, 'gzip data'],
]

/** What a file is that is neither text nor taken by the API, where its first bytes tell. */
export function foreignKind(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, HEAD_BYTES)
  return FOREIGN.find(([pattern]) => pattern.test(head))?.[1]
}
