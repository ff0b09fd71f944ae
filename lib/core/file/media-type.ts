/** A file that is sent as it is. */
export type MediaType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp' | 'application/pdf'

/** Number of leading bytes that identify a type. */
export const HEAD_BYTES = 12

/**
 * The type of a file by its first bytes, since its name may be wrong and the API rejects an image whose bytes are of
 * another type. Undefined for anything but an image or PDF.
 */
export function mediaTypeOf(head: Buffer): MediaType | undefined {
  const text = head.toString('latin1', 0, HEAD_BYTES)
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (text.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'image/gif'
  if (text.startsWith('RIFF') && text.endsWith('WEBP')) return 'image/webp'
  return text.startsWith('%PDF-') ? 'application/pdf' : undefined
}

/** Recognisable binary formats that the API does not accept. */
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

/** The name of an unsupported format, if the first bytes identify one. */
export function foreignKind(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, HEAD_BYTES)
  return FOREIGN.find(([pattern]) => pattern.test(head))?.[1]
}
