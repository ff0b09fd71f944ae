// takes: Result
// gives: bytes, one JSON line per result
// next: a file, or stdout
import { wrongOption } from '../../core/errors.ts'
import { scanner, type Scanner } from '../../core/json/scanner.ts'
import type { Result } from '../../core/results/result.ts'
import type { Stage } from '../../core/stage.ts'
import type { RowFields } from '../../core/answered.ts'
import { mergedRows } from './merge.ts'
import { eachRow, mergedPageRows, type PageRowsOf } from './page-rows.ts'
import { addResponse } from './response.ts'
import { RowBytes } from './row-bytes.ts'
import { fieldNames } from './row-fields.ts'
import { rowStream } from './row-stream.ts'
import { spreadRows } from './spread.ts'

/** Options of `writeJsonl`. */
export interface WriteJsonlOptions extends RowFields {
  /**
   * `merged`: the record byte for byte, with its response and status added. `response`: only the response as JSON, or null.
   * @default 'merged'
   */
  readonly emit?: 'merged' | 'response' | undefined
  /**
   * Include the content blocks of an answer that are not text, such as thinking and tool_use, in the meta field of a merged row.
   * @default false
   */
  readonly blocks?: boolean | undefined
  /**
   * Properties of the answers that become fields of a merged row, in place of the response field; null if there is no answer.
   * A record that already has such a field is `CBS_OUTPUT`.
   * @default none
   */
  readonly spread?: readonly string[] | undefined
}

/**
 * Writes results as JSON lines.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function writeJsonl(options: WriteJsonlOptions = {}): Stage<Result<object>, Buffer> {
  const rowOf = jsonlRow(options)
  return rowStream(rowOf, undefined, jsonlPageRows(options, rowOf))
}

/**
 * The rows of `writeJsonl` without the stream.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function jsonlRow(
  options: WriteJsonlOptions = {},
  costOf?: (result: Result) => string,
): (result: Result) => Buffer {
  const { emit = 'merged' } = options
  const names = { ...fieldNames(options), costOf, blocks: options.blocks }
  const row = new RowBytes()
  if (emit === 'merged' && options.spread) return spreadRows(options.spread, names, row)
  if (emit === 'merged') return mergedRows(names, row)
  if (emit === 'response') return result => responseRow(result, row)
  throw wrongOption('emit', "'merged' or 'response'", emit)
}

/**
 * Makes the rows of whole pages; `rowOf` makes single ones. Rows are built in the memory of a scanner: the shared one, or a
 * private one if they must stay valid beyond the next await.
 */
export function jsonlPageRows(
  options: Pick<WriteJsonlOptions, 'emit' | 'blocks' | keyof RowFields> & {
    readonly spread?: unknown
  },
  rowOf: (result: Result) => Buffer,
  assemblerOf: () => Scanner | undefined = scanner,
): PageRowsOf {
  const { emit = 'merged', blocks = false, spread } = options
  const isMerged = emit === 'merged' && !blocks && spread === undefined
  return isMerged ? mergedPageRows(fieldNames(options), rowOf, assemblerOf) : eachRow(rowOf)
}

function responseRow(result: Result, row: RowBytes): Buffer {
  addResponse(row.begin(), result)
  return row.text('\n').take()
}
