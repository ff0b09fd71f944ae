import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'

/** What is wrong with the lines of a results download. Lines are numbered from 1, in the order in which they are sent. */
export interface LineFault {
  /** The body ends in the middle of this line, as if that were all. */
  readonly cutInside?: number
  /** The body ends behind this line, as if that were all; 0 gives an empty body. */
  readonly cutAfter?: number
  /** These lines are left out. */
  readonly drop?: number | readonly number[]
  /** These lines come twice. */
  readonly double?: number | readonly number[]
  /** These lines come a second time, with a different answer. */
  readonly conflict?: number | readonly number[]
  /** Instead of these lines come bytes that are no JSON. */
  readonly garbage?: number | readonly number[]
  /** An empty line comes before these. */
  readonly blank?: number | readonly number[]
  /** These lines have a custom_id that nobody sent. */
  readonly unknownId?: number | readonly number[]
  /** The result of these lines is of a type that nobody knows. */
  readonly unknownType?: number | readonly number[]
  /** The lines come in the reverse of the requests' order. */
  readonly reversed?: boolean
  /** The body is sent gzipped, and lacks this many bytes at its end; 0 leaves it whole. */
  readonly gzipCut?: number
  /** content-length is right, the body this many bytes shorter, and then the connection ends. */
  readonly shortBy?: number
}

/** Lines with what the script does to them. Each line comes in and goes out without its line end. */
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

interface Line {
  readonly custom_id: string
  readonly result: Readonly<Record<string, unknown>>
}

function changeLine(line: Buffer, change: (line: Line) => Line): string {
  return JSON.stringify(change(JSON.parse(line.toString())))
}

function otherAnswer(line: Line): Line {
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

/** The body gzipped on the way, without its last `cut` bytes. */
export async function* gzipCut(body: AsyncIterable<Buffer>, cut: number): AsyncGenerator<Buffer> {
  const zipped = createGzip()
  // pipeline destroys both ends when one of them fails or is left early; the reader of `zipped` sees the error.
  pipeline(Readable.from(body), zipped, () => {})
  yield* withoutEnd(zipped, cut)
}

/** A body without its last `cut` bytes, which are held back until it is known that they are not the last. */
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
