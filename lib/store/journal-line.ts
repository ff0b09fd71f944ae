import { createHash } from 'node:crypto'
import { BatchStreamError } from '../core/errors.ts'
import type { JobEvent } from '../core/job/event.ts'

// A line: {"size":"000123-999876","sum":"<16 hex>","synced":456,"event":{...}}\n
// The size is stored twice (the second time as its complement) to distinguish a line that a crash truncated from one whose
// bytes were changed. Only a truncated line may be dropped: dropping an `armed` line would mean paying twice. `synced` is the number of
// bytes before the line that were synced when it was written, if any: what a crash cannot have removed.
const OPENING = '{"size":"'
const HEADER = OPENING.length + '000000-000000'.length
const MOST = 999_999

/** The sum before the first line. */
export const NO_SUM = ''

/** Formats an event as a journal line, chained to the checksum of the previous line. `synced` bytes before it are on disk. */
export function formatLine(
  event: JobEvent,
  before: string,
  synced = 0,
): { line: Buffer; sum: string } {
  const body = `${synced > 0 ? `"synced":${synced},` : ''}"event":${JSON.stringify(event)}`
  const sum = sumOf(before, body)
  const rest = `","sum":"${sum}",${body}}\n`
  const size = HEADER + Buffer.byteLength(rest)
  if (size > MOST)
    throw new BatchStreamError(
      'CBS_STATE',
      `a journal line of ${size} bytes is longer than a line may be`,
    )
  return { line: Buffer.from(`${OPENING}${digits(size)}-${digits(MOST - size)}${rest}`), sum }
}

/** The content of a journal: its events, the number of bytes in whole lines, and the checksum to continue with. */
export interface JournalRead {
  readonly events: JobEvent[]
  readonly size: number
  readonly sum: string
}

/** Reads a journal. A last line that a crash truncated is dropped; a changed line is `CBS_STATE`. */
export function readLines(bytes: Buffer): JournalRead {
  const events: JobEvent[] = []
  let at = 0
  let sum = NO_SUM
  while (at < bytes.length) {
    const size = sizeAt(bytes, at)
    const line = bytes.subarray(at, at + (size ?? bytes.length))
    const isWhole = size !== undefined && line.length === size
    const read = isWhole ? readLine(line, sum) : undefined
    if (!read) {
      const isLost = isHole(bytes, at) ? !wasSynced(bytes, at) : !isWhole && isCut(line)
      if (isLost) break
      throw damaged(events.length + 1)
    }
    events.push(read.event)
    sum = read.sum
    at += line.length
  }
  return { events, size: at, sum }
}

function readLine(line: Buffer, before: string): { event: JobEvent; sum: string } | undefined {
  const text = line.toString('utf8')
  const [, sum, body, , event] = LINE.exec(text) ?? []
  if (sum === undefined || body === undefined || sumOf(before, body) !== sum) return undefined
  // The last group is part of what has matched.
  return { event: JSON.parse(String(event)), sum }
}

// A line end that was never written does not invalidate the line, so a NUL there must not drop it.
const LINE =
  /^\{"size":"\d{6}-\d{6}","sum":"([0-9a-f]{16})",((?:"synced":(\d+),)?"event":(\{.*\}))\}[\n\0]$/s

/** Whether a line behind a hole shows that its bytes were synced once, so that no crash has made it. */
function wasSynced(bytes: Buffer, at: number): boolean {
  const hole = bytes.indexOf(0, at)
  for (let start = hole; start !== -1; start = bytes.indexOf(OPENING, start + 1)) {
    const size = sizeAt(bytes, start)
    const line = size && bytes.toString('utf8', start, start + size)
    const [, , , synced] = (line && LINE.exec(line)) || []
    if (Number(synced) > hole) return true
  }
  return false
}

function sizeAt(bytes: Buffer, at: number): number | undefined {
  const header = bytes.toString('latin1', at, at + HEADER)
  const match = /^\{"size":"(\d{6})-(\d{6})$/.exec(header)
  const size = Number(match?.[1])
  return match && size > HEADER && size + Number(match[2]) === MOST ? size : undefined
}

/** Whether this is the start of a line that was never completed. */
function isCut(tail: Buffer): boolean {
  if (tail.length >= HEADER) return sizeAt(tail, 0) !== undefined
  return (
    /^\d{0,6}(-\d{0,5})?$/.test(tail.toString('latin1', OPENING.length)) &&
    OPENING.startsWith(tail.toString('latin1', 0, OPENING.length))
  )
}

/** Bytes that a disk writes atomically: a crash leaves each sector written or not. */
const SECTOR = 512

/**
 * The journal never contains a NUL. If NULs cut a line and continue to the end of a sector or of the file, a crash left
 * space that was never written, and nothing after it was synced. Any other NUL is a changed byte.
 */
function isHole(bytes: Buffer, at: number): boolean {
  const first = bytes.indexOf(0, at)
  if (first === -1 || first >= at + (sizeAt(bytes, at) ?? HEADER)) return false
  if (!isCut(bytes.subarray(at, first))) return false
  let end = first
  while (bytes[end] === 0) end += 1
  return end === bytes.length || (end % SECTOR === 0 && end - first > 1)
}

function sumOf(before: string, body: string): string {
  return createHash('sha256').update(before).update(body).digest('hex').slice(0, 16)
}

function digits(size: number): string {
  return String(size).padStart(6, '0')
}

function damaged(line: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the job's journal is damaged at line ${line}; nothing was sent: see \`claude-batch-stream doctor\``,
    { place: { line } },
  )
}
