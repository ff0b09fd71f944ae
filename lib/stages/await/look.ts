import type { Api } from '../../api/api.ts'
import type { RemoteBatch } from '../../api/remote-batch.ts'

/** Pages of the list that are read before batches are asked for one by one. */
const PAGES = 3
const PAGE = 100

/**
 * Looks at batches by their ids: one list call covers all that are in flight. Ids the API does not know are missing from the
 * answer.
 */
export async function lookAt(api: Api, ids: readonly string[]): Promise<Map<string, RemoteBatch>> {
  const found = new Map<string, RemoteBatch>()
  const left = new Set(ids)
  let after: string | undefined
  for (let page = 0; ids.length > 1 && page < PAGES && left.size > 0; page++) {
    const { data, has_more, last_id } = await api.list(after, PAGE, 'left out')
    for (const batch of data) if (left.delete(batch.id)) found.set(batch.id, batch)
    if (!has_more || last_id === null) break
    after = last_id
  }
  for (const id of left) {
    const batch = await api.retrieve(id)
    if (batch) found.set(id, batch)
  }
  return found
}
