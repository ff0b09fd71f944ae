import type { ClientOptions } from '@anthropic-ai/sdk'
import type { Dispatcher } from 'undici'
import { BatchStreamError, messageOf } from '../core/errors.ts'
import type { Io } from './io.ts'

/** The SDK's default base URL. */
const API = 'https://api.anthropic.com'

/**
 * Sends calls through the proxy of HTTPS_PROXY, unless NO_PROXY excludes the API's host; Node 20's fetch ignores both.
 * Plain http is only used for this machine and never needs a proxy.
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
  // The value may contain a password, so it is not shown.
  if (proxy?.protocol !== 'http:' && proxy?.protocol !== 'https:')
    throw new BatchStreamError('CBS_OPTION', 'HTTPS_PROXY must be an http:// or https:// URL')
  if (!isDecodable(proxy.username + proxy.password))
    throw new BatchStreamError(
      'CBS_OPTION',
      'the user name and password in HTTPS_PROXY must be percent-encoded: write % as %25',
    )
  const { Pool, ProxyAgent, fetch } = await import('undici')
  const clientFactory = (origin: URL, options: object): Dispatcher => {
    const pool = new Pool(origin, options)
    const connect = pool.connect.bind(pool)
    // If the proxy closes the connection, undici's own error would make it connect again at once, without end.
    const connectOnce = (options: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData> =>
      connect(options).catch((cause: unknown) => {
        throw new Error(`the proxy does not connect: ${messageOf(cause)}`, { cause })
      })
    // ProxyAgent calls it without a callback.
    return Object.assign(pool, { connect: connectOnce as typeof pool.connect })
  }
  const dispatcher = new ProxyAgent({ uri: named, clientFactory })
  return {
    // The agent and its fetch come from one version of undici, which may differ from Node's. Only the types differ.
    fetch: fetch as unknown as NonNullable<ClientOptions['fetch']>,
    fetchOptions: { dispatcher } as NonNullable<ClientOptions['fetchOptions']>,
  }
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/**
 * Whether NO_PROXY excludes a URL. Entries are hosts, including their subdomains, with or without a port; `*` is every
 * host.
 */
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
