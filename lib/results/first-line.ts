import type { Api } from '../api/api.ts'
import type { Clock } from '../clock.ts'
import { SILENCE_MS } from '../limits.ts'

/** More of a line than this is not read to find its custom_id, which the API writes first. */
const MOST = 1_000_000

/** The custom_id of the first line of a result set that has one; undefined where none can be read. The rest is not downloaded. */
export async function firstCustomId(
  api: Api,
  resultsUrl: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const stop = new AbortController()
  const silence = clock.sleep(SILENCE_MS, AbortSignal.any([signal, stop.signal])).then(
    () => stop.abort(),
    () => {},
  )
  try {
    const body = await api.download(resultsUrl, AbortSignal.any([signal, stop.signal]))
    let head = Buffer.alloc(0)
    for await (const chunk of body) {
      head = Buffer.concat([head, chunk])
      const id = idIn(head)
      if (id !== undefined || head.length > MOST) return id
    }
    return idIn(head)
  } finally {
    stop.abort()
    await silence
  }
}

function idIn(head: Buffer): string | undefined {
  const match = /"custom_id"\s*:\s*"([a-zA-Z0-9_-]{1,64})"/.exec(head.toString('latin1'))
  return match?.[1]
}
