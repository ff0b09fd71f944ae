import { MOST_BATCHES, type BatchRow, type BatchRows } from '../batch-rows.ts'
import { markup, type Markup } from '../markup.ts'
import { count, second, several, span } from '../words.ts'

/** More batches than this are folded. */
const OPEN = 12

/** A text, and the value by which the table is sorted; an empty one comes last. */
type Cell = readonly [text: string | undefined, value: string | number | null]

const COLUMNS: readonly (readonly [name: string, cell: (batch: BatchRow) => Cell])[] = [
  ['Batch', ({ number }) => [count(number), number]],
  ['State', ({ phase }) => [phase, phase]],
  ['Requests', ({ requests }) => [count(requests), requests]],
  ['No answer', ({ without }) => [without === null ? undefined : count(without), without]],
  ['Attempt', ({ attempt }) => [count(attempt), attempt]],
  ['Submitted', ({ submittedAt }) => timeCell(submittedAt)],
  ['Ended', ({ endedAt }) => timeCell(endedAt)],
  ['Took', tookCell],
  ['Id', ({ id }) => [id ?? undefined, id]],
]

/** The batches, one row each; a script of the page makes the columns sortable. */
export function batchTable({ shown, others }: BatchRows): Markup {
  const heads = COLUMNS.map(([name]) => markup`<th scope="col">${name}</th>`)
  const rows = shown.map(batch => {
    const cells = COLUMNS.map(([, cell]) => {
      const [text, value] = cell(batch)
      return markup`<td data-value="${value ?? ''}">${text ?? '–'}</td>`
    })
    return markup`<tr>${cells}</tr>`
  })
  const more =
    others === 0
      ? undefined
      : markup`<p class="soft">${several(others, 'more batch', 'more batches')}: only the first ${count(MOST_BATCHES)} are listed.</p>`
  const table = markup`<div class="wide" tabindex="0" role="region" aria-label="Batches"><table class="sortable batches"><thead><tr>${heads}</tr></thead><tbody>${rows}</tbody></table></div>${more}`
  return shown.length <= OPEN
    ? table
    : markup`<details><summary>${several(shown.length, 'batch', 'batches')} as a table</summary>${table}</details>`
}

function timeCell(at: number | null): Cell {
  return [at === null ? undefined : second(at), at]
}

function tookCell({ submittedAt, endedAt }: BatchRow): Cell {
  if (submittedAt === null || endedAt === null) return [undefined, null]
  const took = Math.max(0, endedAt - submittedAt)
  return [span(took), took]
}
