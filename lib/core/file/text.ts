import { isUtf8 } from 'node:buffer'
import { extname } from 'node:path'
import type { Problem } from '../flow.ts'
import { foreignEncoding } from '../text-start.ts'
import { invalidUtf8At } from '../utf8.ts'
import { foreignKind } from './media-type.ts'

/** Names that promise an image or a PDF: what is a text all the same would be asked about, and billed, as its source. */
const NO_TEXTS = new Set(
  ['png', 'jpg', 'jpeg', 'gif', 'webp', 'pdf', 'tif', 'tiff', 'bmp', 'heic', 'heif', 'avif'].map(
    name => `.${name}`,
  ),
)

const TAKEN = 'only PNG, JPEG, GIF, WebP, PDF and text can be sent'

/**
 * The text without its byte order mark of a file that is no image and no PDF, or the reason why it is none: `invalid_utf8`, or
 * `wrong_file_type` for a file that is something else or not what its name says.
 */
export function textIn(path: string, bytes: Buffer): string | Problem {
  const foreign = foreignKind(bytes)
  if (foreign !== undefined) return wrongType(`the file ${path} is ${foreign}; ${TAKEN}`)
  const ending = extname(path).toLowerCase()
  if (NO_TEXTS.has(ending))
    return wrongType(`the file ${path} ends in ${ending} but holds ${contentOf(bytes)}`)
  const encoding = foreignEncoding(bytes)
  if (encoding !== undefined) {
    const message = `the file ${path} is ${encoding}; convert it with iconv -f ${encoding} -t UTF-8`
    return { type: 'invalid_utf8', message }
  }
  if (!isUtf8(bytes)) {
    const at = invalidUtf8At(bytes)
    const byte = bytes.toString('hex', at, at + 1)
    return {
      type: 'invalid_utf8',
      message: `the file ${path} is no PNG, JPEG, GIF, WebP or PDF, and no text either: byte 0x${byte} at byte offset ${at} is not valid UTF-8; convert it with iconv`,
    }
  }
  const zero = bytes.indexOf(0)
  if (zero !== -1)
    return wrongType(
      `the file ${path} has a NUL byte at byte offset ${zero}, so it is no text; ${TAKEN}`,
    )
  return bytes.toString('utf8').replace(/^\ufeff/, '')
}

function wrongType(message: string): Problem {
  return { type: 'wrong_file_type', message }
}

/** What stands in a file that should be an image or a PDF. */
function contentOf(bytes: Buffer): string {
  if (bytes.length === 0) return 'nothing'
  const start = bytes.toString('latin1', 0, 200).trimStart()
  if (/^<(?:!doctype html|html|head|body)\b/i.test(start)) return 'HTML, such as an error page'
  if (/^<(?:\?xml|svg)\b/i.test(start)) return 'XML'
  return isUtf8(bytes) && !bytes.includes(0)
    ? 'text'
    : 'neither an image that can be sent nor a PDF'
}
