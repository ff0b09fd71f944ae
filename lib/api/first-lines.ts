import type { Api } from './api.ts'
import { withIdleTimeout } from './idle-timeout.ts'
import { IDLE_TIMEOUT_MS } from '../core/limits.ts'
import { ResultLine } from '../core/results/result-line.ts'
import { Splitter, withoutMark, type Line } from '../core/line-splitter.ts'

/** The bytes of a result set that are read to find its custom_ids, unless more are needed. */
const MOST = 1_000_000

/** The API writes the custom_id first, so the start of an unfinished line is enough. */
const HEAD = /^\s*\{\s*"custom_id"\s*:\s*"([a-zA-Z0-9_-]{1,64})"/

/**
 * Visits the custom_ids of the first lines of a result set until `visit` returns true. Lines without one are skipped, and
 * the rest of the set is not downloaded unless `needsMore` returns true. Resolves to whether the reply came from a cache.
 */
export async function eachFirstCustomId(
  api: Api,
  resultsUrl: string,
  signal: AbortSignal,
  visit: (id: string) => boolean,
  needsMore: () => boolean,
): Promise<boolean> {
  const timeout = { clock: api.session.clock, signal, limitMs: IDLE_TIMEOUT_MS }
  return await withIdleTimeout(timeout, async timer => {
    const { body, isCached } = await api.download(resultsUrl, timer.signal)
    const splitter = new Splitter()
    let size = 0
    for await (const part of body) {
      timer.moved()
      const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
      for (const id of idsIn(splitter.push(chunk))) if (visit(id)) return isCached
      size += chunk.length
      if (size > MOST && !needsMore()) break
    }
    for (const id of idsIn(splitter.end())) if (visit(id)) return isCached
    return isCached
  })
}

function* idsIn(lines: Iterable<Line>): Generator<string> {
  for (const given of lines) {
    const { bytes } = withoutMark(given)
    const line = ResultLine.check(bytes)
    const id = line ? line.string(line.customId) : HEAD.exec(bytes.toString('latin1', 0, 1000))?.[1]
    if (id !== undefined) yield id
  }
}
