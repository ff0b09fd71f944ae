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

export interface WriteJsonlOptions extends RowFields {
  /**
   * `merged`: the record byte for byte with its response and what became of it. `response`: the response alone as JSON,
   * null where there is none.
   * @default 'merged'
   */
  readonly emit?: 'merged' | 'response' | undefined
  /**
   * Keep the blocks of an answer that are no text, such as thinking and tool_use, in the meta field of a merged row.
   * @default false
   */
  readonly blocks?: boolean | undefined
  /**
   * Properties of a schema's answers that become fields of a merged row, in place of the response field; null where there is no
   * answer. A record that has such a field of its own throws `CBS_OUTPUT`.
   * @default none
   */
  readonly spread?: readonly string[] | undefined
}

/**
 * Writes results as JSON lines.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function writeJsonl(options: WriteJsonlOptions = {}): Stage<Result<object>, Buffer> {
  const rowOf = jsonlRow(options)
  return rowStream(rowOf, undefined, jsonlPageRows(options, rowOf))
}

/**
 * The rows of `writeJsonl` without the stream.
 *
 * @throws BatchStreamError `CBS_OPTION`
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
 * The rows of a page of results, of which `rowOf` makes single ones. They lie in the memory of a scanner: of the process's, or of
 * one that nobody else uses where they have to last longer than until the next await.
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
