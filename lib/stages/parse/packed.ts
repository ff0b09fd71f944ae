import zlib from 'node:zlib'
import type { Transform } from 'node:stream'
import { BatchStreamError } from '../../core/errors.ts'
import { Gunzip, type GunzipOptions, type Inflater } from './gunzip.ts'

/** A compression format. */
export type Packing = 'gzip' | 'zstd'

/** Number of leading bytes that identify it. */
export const MAGIC_BYTES = 4

/** The compression indicated by the first bytes; undefined for none. */
export function packingOf(start: Buffer): Packing | undefined {
  if (start[0] === 0x1f && start[1] === 0x8b) return 'gzip'
  if (start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd)
    return 'zstd'
  return undefined
}

/** Why bytes that start like this cannot be records; undefined if they can. */
export function binaryProblem(start: Buffer, source?: string): string | undefined {
  const subject = source ?? 'the input'
  const file = source === undefined ? '' : ` ${source}`
  const begins = (signature: Buffer): boolean =>
    start.subarray(0, signature.length).equals(signature)
  const isZip = begins(ZIP)
  if (isZip || begins(OLE))
    return `${subject} is ${isZip ? 'a ZIP file' : 'an Office file'}, such as an Excel workbook: export the sheet as "CSV UTF-8" in Excel, as "Comma-separated values" in Google Sheets, or with: soffice --headless --convert-to csv FILE`
  // After the signature come the level, 1 to 9, and a fixed byte.
  const isBzip2 = begins(BZIP2) && /^[1-9]1?$/.test(start.toString('latin1', 3, 5))
  if (isBzip2) return `${subject} is compressed with bzip2; pipe it through: bzip2 -dc${file}`
  if (begins(XZ)) return `${subject} is compressed with xz; pipe it through: xz -dc${file}`
  if (begins(PDF)) return `${subject} is a PDF; to make a record of each file, use \`parseFiles\``
  return undefined
}

/** The signatures of ZIP files and older Office files. */
const ZIP = Buffer.from('PK\x03\x04')
const OLE = Buffer.from('d0cf11e0', 'hex')
const BZIP2 = Buffer.from('BZh')
const XZ = Buffer.from('fd377a58', 'hex')
const PDF = Buffer.from('%PDF')

/** The used part of node:zlib; zstd came with Node 22.15. */
export interface Zlib {
  /** Makes a stream that inflates without a header. */
  createInflateRaw(): Inflater
  /** Makes a stream that decompresses zstd; missing in older versions of Node. */
  createZstdDecompress?(): Transform
}

/**
 * A decompressing stream.
 * @throws BatchStreamError `CBS_INPUT` if this Node does not support the format
 */
export function unpacker(
  packing: Packing,
  {
    source,
    zlib: using = zlib,
    onTrailing,
  }: Pick<GunzipOptions, 'onTrailing'> & { source?: string | undefined; zlib?: Zlib | undefined },
): Transform {
  if (packing === 'gzip')
    return new Gunzip({ createInflateRaw: () => using.createInflateRaw(), onTrailing })
  if (using.createZstdDecompress) return using.createZstdDecompress()
  const file = source === undefined ? '' : ` ${source}`
  const message = `${source ?? 'the input'} is compressed with zstd, which this version of Node cannot unpack; pipe it through: zstd -dc${file}`
  throw new BatchStreamError('CBS_INPUT', message, { place: { source } })
}
