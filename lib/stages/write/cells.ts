import type { SourceRecord } from '../../core/flow.ts'
import type { Result } from '../../core/results/result.ts'
import { isUnsent } from '../../core/results/status.ts'
import { textOf } from '../../core/field.ts'
import { propertiesOfAnswer, textOfJson } from './answer.ts'
import { isUnreadable, type TableLayout } from './columns.ts'
import { responseText } from './text.ts'

/** The cells of a result's row, in the order of the columns. A value that is not a string becomes JSON; null becomes empty. */
export function cellsOf(result: Result, columns: TableLayout): string[] {
  return [
    ...columns.input.map(column => inputCell(result, column)),
    ...answerCells(result, columns),
    result.status,
    errorCell(result, columns),
  ]
}

function answerCells(result: Result, { own: [response = ''], properties }: TableLayout): string[] {
  if (!properties) return [ownResponse(result, response) ?? responseText(result)]
  const answer = propertiesOfAnswer(result)
  return properties.map(name => textOfJson(answer.get(name) ?? 'null'))
}

function inputCell(result: Result, column: string): string {
  if (!result.record) return column === 'custom_id' ? (result.customId ?? '') : ''
  return cell(result.record, column)
}

/** A record that was not sent keeps the response that it has. */
function ownResponse(result: Result, name: string): string | undefined {
  if (!isUnsent(result.status) || !result.record) return undefined
  return Object.hasOwn(result.record.fields, name) ? cell(result.record, name) : undefined
}

function cell(record: SourceRecord, name: string): string {
  const value = Object.hasOwn(record.fields, name) ? record.fields[name] : null
  return value === null ? '' : textOf(record, { path: [name], value })
}

/** An invalid or truncated answer, which is paid for and does not fit the columns of its properties. */
function textShown({ response }: Result, { properties }: TableLayout): string {
  if (!properties || response === null) return ''
  return ` (answer: ${response.slice(0, SHOWN)}${response.length > SHOWN ? '...' : ''})`
}

/** Characters shown of an answer or an unreadable record. */
const SHOWN = 1000

/** The error of a row. An unreadable record has no cells of its own, so its line and text are part of the error. */
export function errorCell(result: Result, columns: TableLayout): string {
  const { error, record } = result
  if (!error) return ''
  const sentence = `${error.type}: ${error.message}${textShown(result, columns)}`
  if (!record || !isUnreadable(result) || columns.input.includes('input')) return sentence
  const text = cell(record, 'input')
  return `${sentence} (line ${record.line}: ${text.slice(0, SHOWN)}${text.length > SHOWN ? '...' : ''})`
}
