import Anthropic from '@anthropic-ai/sdk'
import { Console } from 'node:console'
import { guardedClient } from '../api/guarded-client.ts'
import { BatchStreamError } from '../core/errors.ts'
import { credentialsOf, type Credentials } from './credentials.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { proxied } from './proxy.ts'
import type { Settings } from './settings.ts'

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

export interface ClientFor {
  /** The URL of a built-in emulator. */
  readonly emulator?: string | undefined
  /** What a job's first run said, for what the flags leave open. */
  readonly job?: Pick<Settings, 'baseUrl' | 'workspace' | 'betas'>
  /** For work that needs the API only perhaps: a missing key then shows when it is asked. */
  readonly keyless?: boolean
}

/** The SDK's client as the flags, the environment and the job say. */
export async function clientOf(flags: Flags, io: Io, use: ClientFor = {}): Promise<Anthropic> {
  const { emulator, job } = use
  const baseURL = emulator ?? baseUrlOf(flags, io.env) ?? job?.baseUrl
  if (baseURL !== undefined) checkBaseUrl(baseURL)
  const betas = job?.betas ?? []
  const workspace = flags.text('workspace') ?? job?.workspace
  const client = new Anthropic({
    ...(await loginOf(flags, io, use)),
    ...(baseURL !== undefined && { baseURL }),
    ...(await proxied(io.env, baseURL)),
    maxRetries: 0,
    // The SDK's own logger writes to stdout, which is for data.
    logger: new Console(io.stderr, io.stderr),
    defaultHeaders: {
      ...(betas.length > 0 && { 'anthropic-beta': betas.join(',') }),
      ...(workspace !== undefined && { 'anthropic-workspace-id': workspace }),
    },
  })
  return guardedClient(client)
}

async function loginOf(flags: Flags, io: Io, use: ClientFor): Promise<Credentials> {
  if (use.emulator !== undefined) return { apiKey: 'emulated' }
  return await credentialsOf(flags, io.env).catch((cause: unknown) => {
    if (use.keyless) return {}
    throw cause
  })
}

export function baseUrlOf(flags: Flags, env: Io['env']): string | undefined {
  return flags.text('base-url') ?? (env['ANTHROPIC_BASE_URL'] || undefined)
}

/** Nothing that is secret may cross a network in the clear. */
export function isSafeUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || url.username || url.password) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname))
}

/** A key must not cross a network in the clear. */
function checkBaseUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.username || url?.password) {
    // Not shown: this one is a secret too.
    throw new BatchStreamError('CBS_OPTION', '--base-url must not hold a user name or password')
  }
  if (isSafeUrl(text)) return
  throw new BatchStreamError(
    'CBS_OPTION',
    `--base-url must be https, or http on this machine, got "${text}"`,
  )
}
