import type { Api } from '../api/api.ts'
import type { Clock } from '../clock.ts'
import { SILENCE_MS } from '../limits.ts'
import { ResultLine } from './result-line.ts'
import { Splitter } from './split.ts'

/** More of a set than this is not read to find out whose it is. */
const MOST = 1_000_000

/** The API writes the custom_id first, so that the head of a line, too, says whose it is. */
const HEAD = /^\s*\{\s*"custom_id"\s*:\s*"([a-zA-Z0-9_-]{1,64})"/

/** The custom_ids of the first lines of a result set that have one. What is not asked for is not downloaded. */
export async function* firstCustomIds(
  api: Api,
  resultsUrl: string,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const stop = new AbortController()
  const silence = clock.sleep(SILENCE_MS, AbortSignal.any([signal, stop.signal])).then(
    () => stop.abort(),
    () => {},
  )
  try {
    const body = await api.download(resultsUrl, AbortSignal.any([signal, stop.signal]))
    const splitter = new Splitter()
    let size = 0
    for await (const part of body) {
      const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
      yield* idsIn(splitter.push(chunk))
      size += chunk.length
      if (size > MOST) break
    }
    yield* idsIn(splitter.end())
  } finally {
    stop.abort()
    await silence
  }
}

function* idsIn(lines: readonly { readonly bytes: Buffer }[]): Generator<string> {
  for (const { bytes } of lines) {
    const line = ResultLine.check(bytes)
    const id = line ? line.string(line.customId) : HEAD.exec(bytes.toString('latin1', 0, 1000))?.[1]
    if (id !== undefined) yield id
  }
}
