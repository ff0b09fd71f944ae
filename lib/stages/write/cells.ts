import type { SourceRecord } from '../../core/flow.ts'
import type { Result } from '../../core/results/result.ts'
import { isUnsent } from '../../core/results/status.ts'
import { textOf } from '../../core/field.ts'
import { isUnreadable, type TableColumns } from './columns.ts'
import { responseText } from './text.ts'

/** The cells of a result's row, in the order of the columns. What is no string stands as JSON; null and nothing are empty. */
export function cellsOf(result: Result, columns: TableColumns): string[] {
  return [
    ...columns.input.map(column => inputCell(result, column)),
    ...answerCells(result, columns),
    result.status,
    errorCell(result, columns),
  ]
}

function answerCells(result: Result, { own: [response = ''], properties }: TableColumns): string[] {
  if (!properties) return [ownResponse(result, response) ?? responseText(result)]
  const { rowValue: value } = result
  // A valid answer of an object schema is an object; all else has no properties.
  const answer = typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : null
  return properties.map(name => {
    const one: unknown = answer?.get(name) ?? ''
    return typeof one === 'string' ? one : JSON.stringify(one)
  })
}

function inputCell(result: Result, column: string): string {
  if (!result.record) return column === 'custom_id' ? (result.customId ?? '') : ''
  return cell(result.record, column)
}

/** A record that was not sent keeps a response of its own. */
function ownResponse(result: Result, name: string): string | undefined {
  if (!isUnsent(result.status) || !result.record) return undefined
  return Object.hasOwn(result.record.fields, name) ? cell(result.record, name) : undefined
}

function cell(record: SourceRecord, name: string): string {
  const value = Object.hasOwn(record.fields, name) ? record.fields[name] : null
  return value === null ? '' : textOf(record, { path: [name], value })
}

/** Where columns take the answer apart, one that breaks the schema or was cut has no other place; it is paid for. */
function textShown({ response }: Result, { properties }: TableColumns): string {
  if (!properties || response === null) return ''
  return ` (answer: ${response.slice(0, SHOWN)}${response.length > SHOWN ? '...' : ''})`
}

/** Characters of an unreadable record that are shown; its line says where the rest is. */
const SHOWN = 1000

/** What went wrong. A record that could not be read has no cells of its own, so its line and text stand here. */
export function errorCell(result: Result, columns: TableColumns): string {
  const { error, record } = result
  if (!error) return ''
  const sentence = `${error.type}: ${error.message}${textShown(result, columns)}`
  if (!record || !isUnreadable(result) || columns.input.includes('input')) return sentence
  const text = cell(record, 'input')
  return `${sentence} (line ${record.line}: ${text.slice(0, SHOWN)}${text.length > SHOWN ? '...' : ''})`
}
