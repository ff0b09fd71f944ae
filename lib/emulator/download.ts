import type { Settled } from './batches.ts'
import type { FaultEffect } from './fault.ts'
import { gzipCut, spoilLines, withoutEnd, type LineFault } from './line-fault.ts'
import type { SpoolFile } from './spool.ts'
import type { Reply } from './wire.ts'

/** In which order the lines of results come: mixed, as the API may send them, or as the requests came. */
export type ResultOrder = 'shuffled' | 'input'

const LINE_END = Buffer.from('\n')

/** The answer to a results call: the lines as they are read from disk, at the reader's speed. */
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

/** Lines are mixed within blocks, and blocks among each other: one block in memory, whatever the size. */
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

/** True when no single line is touched, so that whole blocks can be sent. */
function isPlain(fault: LineFault): boolean {
  const { reversed: _order, gzipCut: _zip, shortBy: _short, ...touching } = fault
  return Object.keys(touching).length === 0
}

/** Each item has a length of 4 bytes before it in the file, and a line end of one behind it in the body. */
function sizeOf(lines: SpoolFile): number {
  return lines.blocks.reduce((sum, block) => sum + block.bytes - 3 * block.items, 0)
}

/** Gives the items another order, the same one for the same seed. The API promises no order either. */
function shuffled<Item>(items: readonly Item[], seed: number): Item[] {
  const mixed = [...items]
  let state = Math.imul(seed, 2654435761) >>> 0 || 1
  for (let at = mixed.length - 1; at > 0; at--) {
    // xorshift32: small, and good enough to mix rows.
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    const other = state % (at + 1)
    const item = mixed[at]
    // Both places lie within the array.
    mixed[at] = mixed[other] as Item
    mixed[other] = item as Item
  }
  return mixed
}
