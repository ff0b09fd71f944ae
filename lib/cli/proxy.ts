import type { ClientOptions } from '@anthropic-ai/sdk'
import { BatchStreamError } from '../core/errors.ts'
import type { Io } from './io.ts'

/** Where the SDK calls unless it is told otherwise. */
const API = 'https://api.anthropic.com'

/**
 * What sends calls through the proxy that HTTPS_PROXY names, unless NO_PROXY excepts the API's host: Node 20's fetch looks
 * at neither. Plain http goes to this machine alone, so it never needs a proxy and never meets one.
 */
export async function proxied(
  env: Io['env'],
  baseURL: string = API,
): Promise<Pick<ClientOptions, 'fetch' | 'fetchOptions'>> {
  const named = env['https_proxy'] || env['HTTPS_PROXY']
  const api = new URL(baseURL)
  if (!named || api.protocol === 'http:') return {}
  if (isExcepted(api, env['no_proxy'] || env['NO_PROXY'] || '')) return {}
  const proxy = URL.canParse(named) ? new URL(named) : undefined
  if (proxy?.protocol !== 'http:' && proxy?.protocol !== 'https:') {
    // Its text may hold a password, so it is not shown.
    throw new BatchStreamError('CBS_OPTION', 'HTTPS_PROXY must be an http:// or https:// URL')
  }
  const { ProxyAgent, fetch } = await import('undici')
  const dispatcher = new ProxyAgent(named)
  return {
    // The agent and its fetch are of one version of undici, which Node's own fetch need not be. Only the types differ.
    fetch: fetch as unknown as NonNullable<ClientOptions['fetch']>,
    fetchOptions: { dispatcher } as NonNullable<ClientOptions['fetchOptions']>,
  }
}

/** Entries are hosts, with all below them, with a port or without; `*` is every host. */
export function isExcepted({ hostname, port }: URL, noProxy: string): boolean {
  return noProxy.split(/[\s,]+/).some(entry => {
    const name = entry.toLowerCase().replace(/:\d+$/, '')
    const only = /:(\d+)$/.exec(entry)?.[1]
    if (name === '*') return true
    const host = name.replace(/^\*?\./, '')
    if (host === '' || (only !== undefined && only !== (port || '443'))) return false
    return hostname === host || hostname.endsWith(`.${host}`)
  })
}
