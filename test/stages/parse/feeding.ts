import { Readable } from 'node:stream'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import type { Stage } from '../../../lib/core/stage.ts'

/** A record as a test compares it: the line, the raw text, and the type of its problem if it has one. */
export type Seen = readonly [line: number, raw: string, problem?: string]

export function seen(record: SourceRecord): Seen {
  const { line, problem } = record
  const raw = record.raw.toString('utf8')
  return problem ? [line, raw, problem.type] : [line, raw]
}

export type Parser = () => Stage<Uint8Array, SourceRecord>

/** What came out before the end, and the error that was the end, if any. */
export interface Reading {
  readonly records: SourceRecord[]
  readonly error: BatchStreamError | undefined
}

/** Feeds chunks to a parser and reads it to its end. */
export async function read(parser: Parser, chunks: Iterable<Uint8Array>): Promise<Reading> {
  const records: SourceRecord[] = []
  const stage = parser()
  Readable.from(chunks, { objectMode: false }).pipe(stage)
  try {
    for await (const record of stage) records.push(record)
  } catch (error) {
    if (!(error instanceof BatchStreamError)) throw error
    return { records, error }
  }
  return { records, error: undefined }
}

/** The records of an input, as tests compare them. An error fails the test that did not expect it. */
export async function records(parser: Parser, input: string | Buffer): Promise<Seen[]> {
  const { records, error } = await read(parser, [Buffer.from(input)])
  if (error) throw error
  return records.map(seen)
}

/** All ways to cut an input that parsers are tested with: one byte at a time, whole, and in two at every byte. */
export function* cuts(input: Buffer): Generator<Buffer[]> {
  yield Array.from(input, (_, at) => input.subarray(at, at + 1))
  yield [input]
  for (let at = 1; at < input.length; at++) yield [input.subarray(0, at), input.subarray(at)]
}

/** Whatever the chunks: the same records and the same error. Gives the first difference, undefined where there is none. */
export async function differenceByCut(
  parser: Parser,
  input: string | Buffer,
): Promise<string | undefined> {
  const bytes = Buffer.from(input)
  const tell = ({ records, error }: Reading): string =>
    JSON.stringify([records.map(seen), error?.message])
  const whole = tell(await read(parser, [bytes]))
  for (const chunks of cuts(bytes)) {
    const cut = tell(await read(parser, chunks))
    if (cut !== whole)
      return `in ${chunks.length} chunks, the first of ${chunks[0]?.length}: ${cut} instead of ${whole}`
  }
  return undefined
}
