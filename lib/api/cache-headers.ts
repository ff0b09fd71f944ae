/** Headers in which caches say where a reply came from, such as `x-cache`, `cf-cache-status` and `cache-status` (RFC 9211). */
const CACHE = /(?:^|-)cache(?:-(?:status|result|remote))?$/

/** Headers with a number or a boolean, such as `x-cache-hits: 0, 1`. */
const FROM_CACHE = /(?:^|-)(?:cache-hits?|from-cache)$/

/** Values of a cache that sent what it had stored: fresh, stale, or while another request refreshed it. */
const STORED = /(?:^|[^a-z])(?:refresh)?(?:hit|stale|updating|revalidated)(?![a-z])/i

/** The number of a request, and the number of the earlier one whose reply Varnish sent. */
const VARNISH = /^\s*\d+\s+\d+\s*$/

/** The header, with its value, that shows that a reply came from a cache; undefined if none does. */
export function cacheIn(headers: Headers): string | undefined {
  for (const [name, value] of headers) if (isOfCache(name, value)) return `${name}: ${value}`
  return undefined
}

function isOfCache(name: string, value: string): boolean {
  switch (name) {
    case 'age':
      // Each cache on the way may add its own.
      return value.split(',').some(one => Number(one) > 0)
    case 'x-varnish':
      return VARNISH.test(value)
    case 'warning':
      // Stale replies. Source: RFC 7234, section 5.5.
      return /(?:^|,)\s*11[01]\b/.test(value)
    case 'cache-status':
      return /;\s*hit\b/i.test(value)
    case 'server-timing':
      return /cache[^,]*\bhit\b/i.test(value)
  }
  if (FROM_CACHE.test(name)) return /(?:^|,)\s*(?:[1-9]\d*|true|yes|hit)\b/i.test(value)
  return CACHE.test(name) && STORED.test(value)
}
