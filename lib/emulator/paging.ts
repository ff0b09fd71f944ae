import { invalid } from './api-error.ts'

/** A page of items with ids, as the API's lists return it. */
export interface ListPage<Item> {
  readonly data: readonly Item[]
  readonly has_more: boolean
  readonly first_id: string | null
  readonly last_id: string | null
}

/**
 * Cuts a page from a list in display order. `limit` is 20 by default, at most 1000; `after_id` continues after an id,
 * `before_id` ends before one.
 */
export function page<Item extends { readonly id: string }>(
  all: readonly Item[],
  query: URLSearchParams,
): ListPage<Item> {
  const limit = limitOf(query.get('limit'))
  const after = query.get('after_id')
  const before = query.get('before_id')
  if (after !== null && before !== null)
    throw invalid('Only one of before_id and after_id can be given')
  if (before !== null) {
    const end = place(all, before, 'before_id')
    const start = Math.max(0, end - limit)
    return pageOf(all.slice(start, end), start > 0)
  }
  const start = after === null ? 0 : place(all, after, 'after_id') + 1
  return pageOf(all.slice(start, start + limit), all.length > start + limit)
}

function pageOf<Item extends { readonly id: string }>(
  data: readonly Item[],
  has_more: boolean,
): ListPage<Item> {
  return { data, has_more, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null }
}

function limitOf(given: string | null): number {
  if (given === null) return 20
  if (!/^-?\d+$/.test(given))
    throw invalid('limit: Input should be a valid integer, unable to parse string as an integer')
  const limit = Number(given)
  if (limit < 1) throw invalid('limit: Input should be greater than or equal to 1')
  if (limit > 1000) throw invalid('limit: Input should be less than or equal to 1000')
  return limit
}

function place(all: readonly { readonly id: string }[], id: string, name: string): number {
  const at = all.findIndex(item => item.id === id)
  if (at < 0) throw invalid(`${name}: no object with the id ${id} is in this list`)
  return at
}
