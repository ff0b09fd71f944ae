import type { Operation } from './fault.ts'
import type { WireRequest } from './wire.ts'

/** Which operation a call is, and the id in its path. */
export interface Route {
  readonly op: Operation
  readonly id?: string
}

const ROUTES: readonly (readonly [string, RegExp, Operation])[] = [
  ['POST', /^\/v1\/messages\/batches$/, 'create'],
  ['GET', /^\/v1\/messages\/batches$/, 'list'],
  ['GET', /^\/v1\/messages\/batches\/([^/]+)$/, 'retrieve'],
  ['DELETE', /^\/v1\/messages\/batches\/([^/]+)$/, 'delete'],
  ['GET', /^\/v1\/messages\/batches\/([^/]+)\/results$/, 'results'],
  ['POST', /^\/v1\/messages\/batches\/([^/]+)\/cancel$/, 'cancel'],
  ['POST', /^\/v1\/messages\/count_tokens$/, 'count_tokens'],
  ['POST', /^\/v1\/messages$/, 'messages'],
  ['GET', /^\/v1\/models$/, 'models'],
  ['GET', /^\/v1\/models\/([^/]+)$/, 'models'],
]

/** Finds the operation by method and path. */
export function routeOf({ method, url }: Pick<WireRequest, 'method' | 'url'>): Route {
  for (const [wanted, path, op] of ROUTES) {
    const match = method === wanted ? path.exec(url.pathname) : null
    if (match) return match[1] === undefined ? { op } : { op, id: match[1] }
  }
  return { op: 'other' }
}
