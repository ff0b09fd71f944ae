import { isUtf8 } from 'node:buffer'
import type { Problem } from '../flow.ts'
import { invalidUtf8At } from '../parse/utf8.ts'

/** A text file's text without its byte order mark, or the reason why it is none. */
export function textIn(path: string, bytes: Buffer): string | Problem {
  if (isUtf8(bytes)) return bytes.toString('utf8').replace(/^\ufeff/, '')
  const mark = bytes.toString('hex', 0, 2)
  if (mark === 'fffe' || mark === 'feff') {
    const message = `the file ${path} is UTF-16; convert it with iconv -f UTF-16 -t UTF-8`
    return { type: 'invalid_utf8', message }
  }
  const at = invalidUtf8At(bytes)
  const byte = bytes.toString('hex', at, at + 1)
  return {
    type: 'invalid_utf8',
    message: `the file ${path} is no PNG, JPEG, GIF, WebP or PDF, and no text either: byte 0x${byte} at byte offset ${at} is not valid UTF-8; convert it with iconv`,
  }
}
