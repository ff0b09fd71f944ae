import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import type { Problem } from '../flow.ts'
import { HEAD_BYTES, mediaTypeOf, type MediaType } from './media-type.ts'

/** A file's bytes and what it is; `mediaType` is undefined for text. */
export interface Content {
  readonly mediaType: MediaType | undefined
  /** Empty with `textOnly` if the file is not text. */
  readonly bytes: Buffer
}

export interface ReadOptions {
  /** The maximum size; a larger file is a problem. */
  readonly most: number
  /** Do not read the bytes of images and PDFs. */
  readonly textOnly?: boolean
}

/**
 * Reads a regular file whole, or returns a problem: `missing_file`, `unreadable_file` or `file_too_large`. An unreadable
 * file makes a bad record and does not end a run of thousands.
 */
export async function readFile(path: string, options: ReadOptions): Promise<Content | Problem> {
  // Without O_NONBLOCK, opening a named pipe would wait for its writer.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  const file = await open(path, flags).catch((cause: unknown) => problemOf(path, cause))
  if ('message' in file) return file
  return await contentOf(path, file, options)
    .catch((cause: unknown) => problemOf(path, cause))
    .finally(() => file.close())
}

async function contentOf(
  path: string,
  file: FileHandle,
  { most, textOnly = false }: ReadOptions,
): Promise<Content | Problem> {
  const found = await file.stat()
  if (!found.isFile()) return { type: 'unreadable_file', message: `${path} is not a regular file` }
  const head = await readUpTo(file, HEAD_BYTES)
  const mediaType = mediaTypeOf(head)
  if (mediaType && textOnly) return { mediaType, bytes: Buffer.alloc(0) }
  if (found.size > most) return tooLarge(path, found.size, most)
  // One extra byte detects a file that grows while it is read.
  const bytes = await readUpTo(file, Math.min(found.size, most) + 1)
  return bytes.length > most ? tooLarge(path, bytes.length, most) : { mediaType, bytes }
}

async function readUpTo(file: FileHandle, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(size)
  let filled = 0
  for (;;) {
    const { bytesRead } = await file.read(bytes, filled, size - filled, filled)
    filled += bytesRead
    if (bytesRead === 0 || filled === size) return bytes.subarray(0, filled)
  }
}

function tooLarge(path: string, size: number, most: number): Problem {
  const message = `the file ${path} has ${size} bytes; the maximum is ${most}`
  return { type: 'file_too_large', message }
}

function problemOf(path: string, cause: unknown): Problem {
  // The file system throws only these.
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return { type: 'missing_file', message: `there is no file ${path}` }
  return { type: 'unreadable_file', message: `the file ${path} cannot be read: ${message}` }
}
