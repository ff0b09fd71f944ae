// takes  paths of files
// gives  SourceRecord: one for each file
// next   template, or spool
import { basename, extname, resolve } from 'node:path'
import { BatchStreamError, wholeNumber, wrongOption } from '../../core/errors.ts'
import { readFile } from '../../core/file/read.ts'
import { textIn } from '../../core/file/text.ts'
import { SourceRecord, type Problem } from '../../core/flow.ts'
import { DEFAULT_RECORD_BYTES } from '../../core/limits.ts'
import { stage, type Stage } from '../../core/stage.ts'

/** Options of `parseFiles`. */
export interface FilesOptions {
  /**
   * Maximum bytes of a text file.
   * @default 16000000
   */
  readonly maxRecordBytes?: number | undefined
  /**
   * The folder for relative paths.
   * @default the working directory
   */
  readonly dir?: string | undefined
}

/** The fields of a file's record, in order; an image or a PDF has no `text`. */
export const FILE_FIELDS: readonly string[] = ['path', 'name', 'ext', 'text']

/**
 * Turns paths into records `{ path, name, ext }` (`ext` in lower case without its dot), with the `text` of a text file. The
 * first bytes of a file decide its type, not its name. A file that is missing, unreadable, too large, or neither UTF-8 text
 * nor PNG, JPEG, GIF, WebP or PDF becomes a record with a `problem` (`missing_file`, `unreadable_file`, `file_too_large`,
 * `invalid_utf8`, `wrong_file_type`).
 *
 * Throws `CBS_OPTION` for an invalid option.
 */
export function parseFiles(options: FilesOptions = {}): Stage<string, SourceRecord> {
  const { maxRecordBytes = DEFAULT_RECORD_BYTES, dir = '.' } = options
  const most = wholeNumber('maxRecordBytes', maxRecordBytes, 1, Infinity)
  if (typeof dir !== 'string') throw wrongOption('dir', 'the path of a folder', dir)
  return stage(async (path: string) => {
    if (typeof path !== 'string')
      throw new BatchStreamError('CBS_STAGE', 'parseFiles takes paths of files, as strings')
    const text = await textOf(path, resolve(dir, path), most)
    return typeof text === 'object' ? recordOf(path, undefined, text) : recordOf(path, text)
  })
}

/** A file's text, nothing for an image or a PDF, or the problem with it. */
async function textOf(
  path: string,
  found: string,
  most: number,
): Promise<string | undefined | Problem> {
  const content = await readFile(found, { most, textOnly: true })
  if ('type' in content) return content
  return content.mediaType ? undefined : textIn(path, content.bytes)
}

function recordOf(path: string, text: string | undefined, problem?: Problem): SourceRecord {
  const ext = extname(path).slice(1).toLowerCase()
  const fields = { path, name: basename(path), ext, ...(text !== undefined && { text }) }
  const raw = Buffer.from(JSON.stringify(fields))
  return new SourceRecord(raw, { line: 1, source: path, problem, fields })
}

/** The path of a file record whose file is attached, as images and PDFs are. */
export function attachedFile(fields: Readonly<Record<string, unknown>>): string | undefined {
  return 'text' in fields ? undefined : String(fields['path'])
}
