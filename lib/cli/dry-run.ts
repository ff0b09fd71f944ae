import type { TemplateOptions } from '../stages/template/options.ts'
import type { Context } from './context.ts'
import { EXIT } from './exit-code.ts'
import type { Ending } from './finish.ts'
import type { FirstRecords, InputState } from './input.ts'
import { print } from './print.ts'
import { previewReuse } from './reuse.ts'
import { tableOf } from './open-rows.ts'
import { isTable, type RowOptions } from './row-options.ts'
import type { RequestSettings } from './request-settings.ts'
import { isEndless, type Settings } from './settings.ts'
import { columnsIn, mustHaveColumns, NO_COLUMNS } from './table-columns.ts'
import { describePreview, previewRun, type PreviewOptions } from './preview-run.ts'
import { whole } from './values.ts'

/** Reads, renders, checks and counts like a run, and prints the first requests. It opens no socket. */
export async function dryRun(
  context: Context,
  { settings, rows }: { readonly settings: Settings; readonly rows: RowOptions },
  template: TemplateOptions,
  { first, stream }: FirstRecords,
  reading: InputState,
): Promise<Ending> {
  const { flags, io, talk } = context
  const text = flags.text('show')
  const show = text === undefined ? 0 : whole('--show', text, 1)
  const onlyShow = show > 0 && !flags.has('dry-run')
  let shown = 0
  const chosen = rows.outputColumns
  const reusing = onlyShow ? undefined : await previewReuse(context, settings)
  const preview = await previewRun(stream, {
    settings,
    template,
    talk,
    earlier: reusing?.earlier,
    table: tableFor(rows, settings, reading, first),
    onRequest: async request => {
      if (shown < show) await print(io.stdout, `${JSON.stringify(request)}\n`)
      shown += 1
      return !onlyShow || shown < show
    },
  }).finally(() => reusing?.close())
  if (!onlyShow) {
    talk.info(`dry run, nothing was sent: ${describePreview(preview)}`)
    const columns = chosen ?? preview.columns
    if (columns) talk.info(`table: ${headerShown(rows, columns, settings)}`)
    if (preview.requests > 0) talk.info(`estimate: ${preview.estimate.describe()}`)
  }
  if (reading.broken) throw reading.broken
  return { code: preview.rejected + preview.skipped === 0 ? EXIT.answered : EXIT.someFailed }
}

/** What decides the columns of a table if rows go to one and no flag names its columns. */
export function tableFor(
  rows: RowOptions,
  settings: Settings,
  reading: InputState,
  first: FirstRecords['first'],
): PreviewOptions['table'] {
  const known = columnsIn(settings, reading, first)
  mustHaveColumns(rows, known)
  if (!isTable(rows) || rows.outputColumns) return undefined
  return { known, endless: isEndless(settings) }
}

/** Maximum characters of a header that are shown. */
const SHOWN = 500

function headerShown(
  rows: RowOptions,
  columns: readonly string[],
  { schema }: Pick<RequestSettings, 'schema'>,
): string {
  const names = columns.length > 0 ? columns : NO_COLUMNS
  const header = tableOf(rows, names, schema).header.toString().trimEnd()
  const rest = header.length > SHOWN ? '...' : ''
  return `${names.length} input columns; the header is ${header.slice(0, SHOWN)}${rest}`
}
