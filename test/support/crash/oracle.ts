import { fold } from '../../../lib/core/job/state.ts'
import { readLines } from '../../../lib/store/journal-line.ts'
import { PLACES, type World } from './process.ts'

/** The outcome of a run: what the API was paid for, and what its user has. */
export interface Outcome {
  /** How often each request was accepted and billed, by its params. */
  readonly bills: readonly string[]
  /** Rows of the output and the errors file, without what differs between runs. */
  readonly rows: readonly string[]
  /** The records of all rows. */
  readonly records: readonly string[]
  readonly complaints: readonly string[]
}

interface Row {
  readonly _batch: {
    readonly status: string
    readonly custom_id: string | null
    readonly batch_id: string | null
  }
}

/** Reads the API's ledger and the disk. Complaints are what is wrong in any scenario. */
export async function outcomeOf({ emulator, machine }: World): Promise<Outcome> {
  const complaints: string[] = []
  const open = new Map<string, string>()
  const billed = new Set<string>()
  const bills = new Map<string, { accepted: number; billed: number }>()
  for await (const request of emulator.ledger.requests()) {
    const { key, outcome, custom_id, batch_id } = request
    const before = open.get(key)
    // Only expired and failed requests may be retried.
    if (before === 'succeeded' || before === 'processing')
      complaints.push(`${custom_id} was accepted again although it was ${before} before`)
    open.set(key, outcome)
    const bill = bills.get(key) ?? { accepted: 0, billed: 0 }
    bill.accepted += 1
    if (request.billed) {
      bill.billed += 1
      billed.add(`${batch_id} ${custom_id}`)
    }
    bills.set(key, bill)
  }
  const rows: string[] = []
  const records: string[] = []
  for (const [file, path] of [
    ['out', PLACES.out],
    ['errors', PLACES.errors],
  ] as const) {
    const text = machine.file(path)?.bytes.toString() ?? ''
    if (text !== '' && !text.endsWith('\n')) complaints.push(`${path} ends within a row`)
    for (const line of text.split('\n').filter(line => line !== '')) {
      const row = parsed(line)
      if (!row) {
        complaints.push(`${path} has a line that is no row: ${line}`)
        continue
      }
      const { status, custom_id, batch_id } = row._batch
      if (status === 'succeeded' && !billed.delete(`${batch_id} ${custom_id}`))
        complaints.push(`a row has an answer that was not paid for: ${line}`)
      rows.push(`${file} ${comparable(line, row)}`)
      records.push(JSON.stringify({ ...row, _batch: undefined, response: undefined }))
    }
  }
  const journal = machine.file(`${PLACES.state}/jobs/crash/journal.jsonl`)
  if (!journal || !isFinished(journal.bytes)) complaints.push('the job is not finished')
  return {
    bills: [...bills].map(([key, bill]) => `${key} ${JSON.stringify(bill)}`).sort(),
    rows: rows.sort(),
    records: records.sort(),
    complaints,
  }
}

function isFinished(journal: Buffer): boolean {
  try {
    return fold(readLines(journal).events)?.finished === true
  } catch {
    return false
  }
}

/** What is wrong with a disturbed run compared with an undisturbed one; empty if nothing is. */
export function complaintsAbout(disturbed: Outcome, calm: Outcome, rowsDiffer = false): string[] {
  const complaints = [...disturbed.complaints]
  const compare = (what: string, got: readonly string[], wanted: readonly string[]): void => {
    for (const extra of without(got, wanted)) complaints.push(`${what}, and should not: ${extra}`)
    for (const missing of without(wanted, got))
      complaints.push(`${what}: not, and should: ${missing}`)
  }
  compare('was accepted and billed', disturbed.bills, calm.bills)
  compare('stands in a row', disturbed.records, calm.records)
  if (!rowsDiffer) compare('is a row', disturbed.rows, calm.rows)
  return complaints
}

function without(some: readonly string[], others: readonly string[]): string[] {
  const left = [...others]
  return some.filter(one => {
    const at = left.indexOf(one)
    if (at !== -1) left.splice(at, 1)
    return at === -1
  })
}

function parsed(line: string): Row | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** A row without the ids that differ between runs. The API's name for a request depends on its position in the body. */
function comparable(line: string, { _batch: { custom_id, batch_id } }: Row): string {
  const run = custom_id !== null && /^[0-9a-z]{10}-/.test(custom_id) ? custom_id.slice(0, 10) : null
  let text = line.replaceAll(/requests\.\d+/g, 'requests.N')
  if (batch_id !== null) text = text.replaceAll(batch_id, 'BATCH')
  return run === null ? text : text.replaceAll(run, 'RUN')
}
