import { parse } from 'csv-parse/sync'
import { BatchStreamError } from '../core/errors.ts'
import { COMMENT_WANTED, isCommentStart } from '../stages/parse/csv-comments.ts'
import { mayBeTable, tableOption } from '../stages/parse/table-options.ts'
import type { Flags } from './flags.ts'
import { wrongFlag } from './values.ts'

/** How CSV and TSV are read. */
export interface TableSettings {
  readonly delimiter?: string | undefined
  readonly columns?: readonly string[] | undefined
  readonly header: boolean
  readonly comment?: string | undefined
}

/** The table flags, checked. */
export function tableIn(flags: Flags): TableSettings {
  const columns = flags.text('columns')
  const delimiter = delimiterIn(flags)
  const settings = {
    delimiter,
    columns: columns === undefined ? undefined : columnsIn(columns),
    header: !flags.has('no-header'),
    comment: commentIn(flags, delimiter),
  }
  mustBeTable(flags, settings)
  return settings
}

/** Other formats would ignore these flags, and make records of lines to be skipped. */
function mustBeTable(flags: Flags, settings: TableSettings): void {
  const option = tableOption(settings)
  const from = flags.text('from') ?? 'auto'
  if (!option || mayBeTable(from, flags.text('json-path') !== undefined)) return
  const flag = option === 'header' ? 'no-header' : option
  const other = from === 'auto' ? '--json-path' : `--from ${from}`
  throw new BatchStreamError(
    'CBS_OPTION',
    `--${flag} is for CSV and TSV; it cannot be combined with ${other}`,
  )
}

function delimiterIn(flags: Flags): string | undefined {
  const text = flags.text('delimiter')
  if (text === undefined) return undefined
  const delimiter = text.replaceAll('\\t', '\t')
  if (/^[^"\r\n]{1,8}$/.test(delimiter)) return delimiter
  const wanted = '1 to 8 characters without quotes or line breaks (\\t is a tab)'
  throw wrongFlag('--delimiter', wanted, text)
}

function columnsIn(text: string): string[] {
  const columns = text.split(',').map(name => name.trim())
  if (columns.every(name => name !== '') && new Set(columns).size === columns.length) return columns
  throw wrongFlag('--columns', 'different names with commas between them', text)
}

/** The input columns of --output-columns: a line of CSV, so that a name may contain a comma. */
export function outputColumnsIn(flags: Flags): readonly string[] | undefined {
  const text = flags.text('output-columns')
  if (text === undefined) return undefined
  const wanted = 'different names with commas between them (put a name with a comma in quotes)'
  let lines: readonly (readonly string[])[]
  try {
    lines = parse(text, { trim: true })
  } catch {
    throw wrongFlag('--output-columns', wanted, text)
  }
  const [names = [], ...more] = lines
  const isRight = names.length > 0 && more.length === 0 && !names.includes('')
  if (isRight && new Set(names).size === names.length) return names
  throw wrongFlag('--output-columns', wanted, text)
}

function commentIn(flags: Flags, delimiter: string | undefined): string | undefined {
  const comment = flags.text('comment')
  if (comment === undefined) return undefined
  if (!isCommentStart(comment, delimiter ?? ','))
    throw wrongFlag('--comment', COMMENT_WANTED, comment)
  return comment
}
