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
