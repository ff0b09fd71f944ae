import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'

/** Faults in the lines of a results download. Lines are numbered from 1 in the order of sending. */
export interface LineFault {
  /** The body ends in the middle of this line, without an error. */
  readonly cutInside?: number
  /** The body ends after this line, without an error; 0 gives an empty body. */
  readonly cutAfter?: number
  /** These lines are left out. */
  readonly drop?: number | readonly number[]
  /** These lines come twice. */
  readonly double?: number | readonly number[]
  /** These lines come a second time, with a different answer. */
  readonly conflict?: number | readonly number[]
  /** These lines are replaced by bytes that are not JSON. */
  readonly garbage?: number | readonly number[]
  /** An empty line comes before these. */
  readonly blank?: number | readonly number[]
  /** These lines have a custom_id that was never sent. */
  readonly unknownId?: number | readonly number[]
  /** The result of these lines has an unknown type. */
  readonly unknownType?: number | readonly number[]
  /** The lines come in the reverse order of the requests. */
  readonly reversed?: boolean
  /** The body is gzipped and lacks this many bytes at its end; 0 leaves it complete. */
  readonly gzipCut?: number
  /** The connection ends this many bytes before the content-length. */
  readonly shortBy?: number
}

/** Applies the faults to lines. Lines come in and go out without their line ends. */
export async function* spoilLines(
  lines: AsyncIterable<Buffer>,
  fault: LineFault,
): AsyncGenerator<Buffer> {
  const on = (which: number | readonly number[] | undefined, line: number): boolean =>
    which !== undefined && [which].flat().includes(line)
  let number = 0
  if (fault.cutAfter === 0) return
  for await (const line of lines) {
    number++
    if (on(fault.blank, number)) yield withEnd('')
    if (on(fault.drop, number)) continue
    if (fault.cutInside === number) {
      yield line.subarray(0, Math.ceil(line.length / 2))
      return
    }
    const changed = on(fault.garbage, number)
      ? '<<< upstream hiccup >>>'
      : on(fault.unknownId, number)
        ? changeLine(line, value => ({ ...value, custom_id: `nobody-sent-${number}` }))
        : on(fault.unknownType, number)
          ? changeLine(line, value => ({ ...value, result: { type: 'postponed' } }))
          : line
    yield withEnd(changed)
    if (on(fault.double, number)) yield withEnd(changed)
    if (on(fault.conflict, number)) yield withEnd(changeLine(line, otherAnswer))
    if (fault.cutAfter === number) return
  }
}

function withEnd(line: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(line), Buffer.from('\n')])
}

interface ParsedLine {
  readonly custom_id: string
  readonly result: Readonly<Record<string, unknown>>
}

function changeLine(line: Buffer, change: (line: ParsedLine) => ParsedLine): string {
  return JSON.stringify(change(JSON.parse(line.toString())))
}

function otherAnswer(line: ParsedLine): ParsedLine {
  const message = line.result['message']
  if (line.result['type'] !== 'succeeded') return { ...line, result: { type: 'canceled' } }
  // A succeeded line always has a message.
  return {
    ...line,
    result: {
      ...line.result,
      message: { ...(message as object), content: [{ type: 'text', text: 'a different answer' }] },
    },
  }
}

/** Gzips the body and cuts its last `cut` bytes. */
export async function* gzipCut(body: AsyncIterable<Buffer>, cut: number): AsyncGenerator<Buffer> {
  const zipped = createGzip()
  // pipeline destroys both ends if one fails or is left early; the reader of `zipped` gets the error.
  pipeline(Readable.from(body), zipped, () => {})
  yield* withoutEnd(zipped, cut)
}

/** Cuts the last `cut` bytes of a body, holding back that many while it streams. */
export async function* withoutEnd(
  body: AsyncIterable<Buffer>,
  cut: number,
): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0)
  for await (const chunk of body) {
    held = Buffer.concat([held, chunk])
    if (held.length <= cut) continue
    yield held.subarray(0, held.length - cut)
    held = held.subarray(held.length - cut)
  }
}
