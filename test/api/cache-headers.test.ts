import t from 'tap'
import { cacheIn } from '../../lib/api/cache-headers.ts'

const said = (name: string, value: string): string | undefined =>
  cacheIn(new Headers({ date: 'now', 'cache-control': 'no-cache', [name]: value }))

void t.test('a header of a cache that sent what it had', t => {
  for (const [name, value] of [
    ['age', '7'],
    ['age', '0, 12'],
    ['x-cache', 'HIT from proxy'],
    ['x-cache', 'MISS, HIT'],
    ['x-cache', 'TCP_MEM_HIT'],
    ['x-cache', 'RefreshHit from cloudfront'],
    ['x-cache-status', 'STALE'],
    ['x-cache-status', 'UPDATING'],
    ['x-cache-status', 'REVALIDATED'],
    ['cf-cache-status', 'HIT'],
    ['x-proxy-cache-status', 'HIT'],
    ['x-nginx-cache', 'HIT'],
    ['x-vercel-cache', 'STALE'],
    ['helicone-cache', 'hit'],
    ['x-cache-remote', 'TCP_HIT from a'],
    ['cache-status', 'gw; hit'],
    ['cache-status', 'a; fwd=miss, b; ttl=30; hit; detail=x'],
    ['x-cache-hits', '0, 1'],
    ['x-cache-hit', 'true'],
    ['x-from-cache', '1'],
    ['x-varnish', '32770 3'],
    ['warning', '110 - "Response is Stale"'],
    ['warning', '199 - "x", 111 - "Revalidation Failed"'],
    ['server-timing', 'edge;dur=1, cfCacheStatus;desc="HIT"'],
  ] as const)
    t.equal(said(name, value), `${name}: ${value}`)
  t.end()
})

void t.test('headers that say nothing of the kind', t => {
  for (const [name, value] of [
    ['age', '0'],
    ['age', 'new'],
    ['x-cache', 'Miss from cloudfront'],
    ['x-cache', 'TCP_REFRESH_MODIFIED'],
    ['x-cache', 'MISS from white.example'],
    ['x-cache-lookup', 'HIT from squid:3128'],
    ['cf-cache-status', 'DYNAMIC'],
    ['cf-cache-status', 'EXPIRED'],
    ['x-no-cache', '1'],
    ['x-cache-key', '/hit'],
    ['cache-status', 'gw; fwd=stale; stored'],
    ['x-cache-hits', '0, 0'],
    ['x-from-cache', 'false'],
    ['x-varnish', '32770'],
    ['warning', '299 - "Deprecated"'],
    ['server-timing', 'cfCacheStatus;desc="DYNAMIC", hit;dur=1'],
  ] as const)
    t.equal(said(name, value), undefined, `${name}: ${value}`)
  t.end()
})
