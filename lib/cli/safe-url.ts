const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** Secrets must not cross a network unencrypted. */
export function isSafeUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || url.username || url.password) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname))
}
