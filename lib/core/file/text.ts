import { isUtf8 } from 'node:buffer'
import { extname } from 'node:path'
import type { Problem } from '../flow.ts'
import { foreignEncoding } from '../text-start.ts'
import { invalidUtf8At } from '../utf8.ts'
import { foreignKind } from './media-type.ts'

/**
 * Extensions of images and PDFs. A text file with such a name is probably a mistake, and its source would be sent and
 * billed.
 */
const NO_TEXTS = new Set(
  ['png', 'jpg', 'jpeg', 'gif', 'webp', 'pdf', 'tif', 'tiff', 'bmp', 'heic', 'heif', 'avif'].map(
    name => `.${name}`,
  ),
)

const TAKEN = 'only PNG, JPEG, GIF, WebP, PDF and text can be sent'

/**
 * The text of a file without its byte order mark, or the reason why it is not text: `invalid_utf8`, or `wrong_file_type`
 * for a file of another type or one whose content does not match its name.
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
      message: `the file ${path} is not a PNG, JPEG, GIF, WebP, PDF or text file: byte 0x${byte} at byte offset ${at} is not valid UTF-8; convert it with iconv`,
    }
  }
  const zero = bytes.indexOf(0)
  if (zero !== -1)
    return wrongType(
      `the file ${path} is not a text file: it has a NUL byte at byte offset ${zero}; ${TAKEN}`,
    )
  return bytes.toString('utf8').replace(/^\ufeff/, '')
}

function wrongType(message: string): Problem {
  return { type: 'wrong_file_type', message }
}

/** Describes the content of a file that should be an image or a PDF. */
function contentOf(bytes: Buffer): string {
  if (bytes.length === 0) return 'nothing'
  const start = bytes.toString('latin1', 0, 200).trimStart()
  if (/^<(?:!doctype html|html|head|body)\b/i.test(start)) return 'HTML, such as an error page'
  if (/^<(?:\?xml|svg)\b/i.test(start)) return 'XML'
  return isUtf8(bytes) && !bytes.includes(0) ? 'text' : 'neither a supported image nor a PDF'
}
