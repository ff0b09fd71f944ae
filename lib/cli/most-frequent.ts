import { withLines } from '../report/failed-lines.ts'
import type { Failures } from '../report/failures.ts'
import type { FailedLine } from '../report/report.ts'
import type { Status } from '../core/results/status.ts'
import { printable } from './shown.ts'

/** Maximum kinds of failure shown, and maximum characters of a message. */
const MOST_SHOWN = 3
const MOST_CHARACTERS = 200

/** A kind of failure: its number of rows, and the position of the first one. */
export interface FrequentFailure {
  readonly count: number
  readonly status: Status
  readonly type: string
  readonly message: string
  readonly source: string | null
  readonly line: number
}

/** The most frequent failures of a job, read from its folder. */
export async function mostFrequent(
  folder: string,
  sources: readonly string[],
  failures: Failures,
): Promise<readonly FrequentFailure[]> {
  const shown = await withLines(folder, sources, failures.groups.slice(0, MOST_SHOWN))
  return shown.map(({ count, status, type, message, lines }) => {
    // A kind of failure has the record in which it was found.
    const { source = null, line } = lines[0] as FailedLine
    return { count, status, type, message, source, line }
  })
}

/** The failures as lines of text. */
export function linesOf(failures: readonly FrequentFailure[]): string[] {
  return failures.map(({ count, status, type, message, source, line }) => {
    const text = printable(message)
    const said = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text
    const file = source === null ? '' : `${printable(source)}, `
    const kind = type === status ? '' : ` ${printable(type)}:`
    return `  ${count} ${status}:${kind} ${said} (first: ${file}line ${line})`
  })
}
