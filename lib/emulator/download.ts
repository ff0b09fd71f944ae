import type { Settled } from './batches.ts'
import type { FaultEffect } from './fault.ts'
import { gzipCut, spoilLines, withoutEnd, type LineFault } from './line-fault.ts'
import type { SpoolFile } from './spool.ts'
import type { Reply } from './wire.ts'

/** The order of result lines: shuffled, as the API may send them, or in request order. */
export type ResultOrder = 'shuffled' | 'input'

const LINE_END = Buffer.from('\n')

/** The reply to a results call. Lines are read from disk at the reader's speed. */
export function download(
  settled: Settled,
  seed: number,
  order: ResultOrder,
  faults: readonly FaultEffect[],
): Reply {
  const fault: LineFault = Object.assign({}, ...faults.map(effect => effect.lines ?? {}))
  const headers: Record<string, string> = { 'content-type': 'application/x-jsonl' }
  const blocks = inOrder(settled.lines, seed, fault.reversed ? 'reversed' : order)
  let body: AsyncIterable<Buffer> = isPlain(fault)
    ? wholeBlocks(blocks)
    : spoilLines(eachLine(blocks), fault)
  if (fault.gzipCut !== undefined) {
    headers['content-encoding'] = 'gzip'
    body = gzipCut(body, fault.gzipCut)
  }
  if (fault.shortBy !== undefined) {
    headers['content-length'] = String(sizeOf(settled.lines))
    body = withoutEnd(body, fault.shortBy)
  }
  return { status: 200, headers, body }
}

/** Shuffles lines within blocks and blocks among each other, so that only one block is in memory. */
async function* inOrder(
  lines: SpoolFile,
  seed: number,
  order: ResultOrder | 'reversed',
): AsyncGenerator<Buffer[]> {
  const { blocks } = lines
  const mixed =
    order === 'input'
      ? blocks
      : order === 'reversed'
        ? [...blocks].reverse()
        : shuffled(blocks, seed)
  let at = seed
  for await (const block of lines.read(mixed)) {
    yield order === 'input' ? block : order === 'reversed' ? block.reverse() : shuffled(block, ++at)
  }
}

async function* wholeBlocks(blocks: AsyncIterable<Buffer[]>): AsyncGenerator<Buffer> {
  for await (const block of blocks) yield Buffer.concat(block.flatMap(line => [line, LINE_END]))
}

async function* eachLine(blocks: AsyncIterable<Buffer[]>): AsyncGenerator<Buffer> {
  for await (const block of blocks) yield* block
}

/** Whether the fault changes no single line, so that whole blocks can be sent. */
function isPlain(fault: LineFault): boolean {
  const { reversed: _order, gzipCut: _zip, shortBy: _short, ...touching } = fault
  return Object.keys(touching).length === 0
}

/** In the file each item has a 4-byte length; in the body each has a one-byte line end. */
function sizeOf(lines: SpoolFile): number {
  return lines.blocks.reduce((sum, block) => sum + block.bytes - 3 * block.items, 0)
}

/** Shuffles the items; the same seed gives the same order. */
function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const mixed = [...items]
  let state = Math.imul(seed, 2654435761) >>> 0 || 1
  for (let at = mixed.length - 1; at > 0; at--) {
    // xorshift32: small, and random enough to shuffle rows.
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    const other = state % (at + 1)
    const item = mixed[at]
    // Both positions are within the array.
    mixed[at] = mixed[other] as Item
    mixed[other] = item as Item
  }
  return mixed
}
