import { createReadStream } from 'node:fs'
import type { EndedBatch } from '../../core/flow.ts'
import { batchPath } from '../batch-files.ts'
import { nodeDisk } from '../disk.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import { Result } from '../../core/results/result.ts'
import { Splitter } from '../../core/line-splitter.ts'

/** The answers in a kept result set, read from its file alone: each knows its own line, and neither record nor batch. */
export async function* keptResults(
  folder: string,
  number: number,
  check?: AnswerCheck,
): AsyncGenerator<Result> {
  const path = batchPath(folder, number, 'results')
  if ((await nodeDisk.look(path)) === undefined) return
  for await (const raw of linesOf(path)) {
    // Only the line itself is ever read of it.
    const batch = {} as EndedBatch
    yield new Result({ batch, customId: null, record: undefined, raw, last: false, check })
  }
}

async function* linesOf(path: string): AsyncGenerator<Buffer> {
  const splitter = new Splitter()
  for await (const chunk of createReadStream(path)) {
    for (const { bytes } of splitter.push(chunk)) if (bytes.length > 0) yield bytes
  }
  for (const { bytes } of splitter.end()) yield bytes
}
