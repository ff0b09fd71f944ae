import type { EndedBatch } from '../flow.ts'
import { askedIn } from '../job/asked.ts'
import { batchPath, rejectionsOf } from '../job/batch-files.ts'
import type { Bits } from '../job/bits.ts'
import { nodeDisk, type DiskFile } from '../job/disk.ts'
import type { JobOnDisk } from '../job/inspect.ts'
import { OrdinalReader } from '../job/ordinals.ts'
import type { BatchState } from '../job/state.ts'
import { Repeats } from '../job/repeats.ts'
import { Window } from '../job/window.ts'
import { Ledger } from '../money/ledger.ts'
import type { PriceOf } from '../money/price.ts'
import { FirstAnswers } from '../results/first-answers.ts'
import { Result } from '../results/result.ts'
import type { Status } from '../results/status.ts'
import { LINE_ENTRY } from '../results/verify.ts'
import { answerCheck, type AnswerCheck } from '../schema/answer-check.ts'
import type { JsonSchema } from '../schema/load.ts'
import { Tally } from './tally.ts'

export interface RowsSoFar {
  readonly rows: Partial<Record<Status, number>>
  readonly ledger: Ledger
}

/** Counts the answers that are here, read from the kept result sets: of each record the newest, but the money of all. */
export async function rowsSoFar(
  { folder, state }: JobOnDisk,
  priceOf: PriceOf,
  schema: JsonSchema | undefined,
): Promise<RowsSoFar> {
  const resultOf = resultMaker(schema && answerCheck(schema))
  const path = (number: number, what: Parameters<typeof batchPath>[2]): string =>
    batchPath(folder, number, what)
  const files = { disk: nodeDisk, path }
  const here = [...(state?.batches.values() ?? [])].filter(batch => batch.fetched !== null)
  const newest = new Tally()
  const ledger = new Ledger(priceOf)
  for (const batch of here) {
    const later = await askedIn(
      files,
      here.filter(({ attempt }) => attempt > batch.attempt),
    )
    for (const { ordinal } of await rejectionsOf(files, batch.number))
      if (!later.has(ordinal)) newest.add({ status: 'rejected', usage: null })
    await answersIn(batch, path, resultOf, later, newest, ledger)
    const firsts = new FirstAnswers(files, here, batch.attempt)
    for (const { ordinal, of } of await Repeats.of(files, batch.number)) {
      if (later.has(ordinal)) continue
      const { raw, rejection } = await firsts.of(of)
      const status = raw ? resultOf(raw).status : rejection ? 'rejected' : 'unanswered'
      newest.add({ status, usage: null })
    }
    await firsts.close()
  }
  return { rows: newest.byStatus(), ledger }
}

async function answersIn(
  { number, requests, fetched }: BatchState,
  path: (number: number, what: Parameters<typeof batchPath>[2]) => string,
  resultOf: (raw: Buffer) => Result,
  later: Bits,
  newest: Tally,
  ledger: Ledger,
): Promise<void> {
  await OrdinalReader.use(nodeDisk, path(number, 'members'), async members => {
    const files: DiskFile[] = []
    const open = async (what: 'lines' | 'results'): Promise<Window> => {
      const file = await nodeDisk.open(path(number, what), 'read')
      files.push(file)
      return new Window(file)
    }
    try {
      const has = fetched !== null && fetched.lines > 0
      const lineAt = has ? lineReader(await open('lines'), await open('results')) : noLine
      for (let position = 0; position < requests; position++) {
        const raw = await lineAt(position)
        const answer = raw ? resultOf(raw) : UNANSWERED
        ledger.add(answer)
        if (!later.has(await members.at(position))) newest.add(answer)
      }
    } finally {
      for (const file of files) await file.close()
    }
  })
}

const UNANSWERED = { status: 'unanswered', usage: null, model: null } as const

async function noLine(): Promise<undefined> {}

/** Reads the result line of the request at a position; undefined where the API gave none. */
function lineReader(
  index: Window,
  lines: Window,
): (position: number) => Promise<Buffer | undefined> {
  return async position => {
    const entry = await index.read(position * LINE_ENTRY, LINE_ENTRY)
    const length = entry.readUInt32LE(6)
    return length > 0 ? await lines.read(entry.readUIntLE(0, 6), length) : undefined
  }
}

function resultMaker(check: AnswerCheck | undefined): (raw: Buffer) => Result {
  // Only the line itself is read of it here.
  const batch = {} as EndedBatch
  return raw => new Result({ batch, customId: null, record: undefined, raw, last: false, check })
}
