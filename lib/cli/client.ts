import Anthropic from '@anthropic-ai/sdk'
import { Console } from 'node:console'
import { guardedClient } from '../api/guarded-client.ts'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { proxied } from './proxy.ts'
import { isSafeUrl } from './safe-url.ts'
import { redacted, secretsIn } from './shown.ts'
import type { ApiSettings } from './settings.ts'
import type { Talk } from './talk.ts'
import { loadConfig } from '@anthropic-ai/sdk/core/credentials'
import { readFile } from 'node:fs/promises'
import { Writable } from 'node:stream'

export interface ClientFor {
  /** The URL of a built-in emulator. */
  readonly emulator?: string | undefined
  /** Settings of the job's first run, for flags that are not given. */
  readonly job?: ApiSettings
  /** Says so if the base URL is the job's, so that the user sees where the key goes. */
  readonly talk?: Pick<Talk, 'info'>
  /** For commands that may not need the API: a missing key is reported on the first call. */
  readonly keyless?: boolean
}

/** The SDK's client for the flags, the environment and the job. */
export async function clientOf(flags: Flags, io: Io, use: ClientFor = {}): Promise<Anthropic> {
  const { emulator, job } = use
  const given = emulator ?? baseUrlOf(flags, io.env)
  const baseURL = given ?? job?.baseUrl
  if (baseURL !== undefined) checkBaseUrl(baseURL)
  if (given === undefined && baseURL !== undefined)
    use.talk?.info(`requests go to ${new URL(baseURL).origin}, the base URL of the job`)
  const betas = job?.betas ?? []
  const workspace = flags.text('workspace') ?? job?.workspace
  const client = new Anthropic({
    ...(await loginOf(flags, io, use)),
    ...(baseURL !== undefined && { baseURL }),
    ...(await proxied(io.env, baseURL)),
    maxRetries: 0,
    logger: loggerOf(io),
    defaultHeaders: {
      ...(betas.length > 0 && { 'anthropic-beta': betas.join(',') }),
      ...(workspace !== undefined && { 'anthropic-workspace-id': workspace }),
    },
  })
  return guardedClient(client)
}

/** Where the SDK logs what ANTHROPIC_LOG asks for. Its own logger writes to stdout, which is for data, and shows the headers of gateways. */
function loggerOf({ env, stderr }: Io): Console {
  const secrets = secretsIn(env)
  const log = new Writable({
    write(text, _encoding, done) {
      stderr.write(redacted(String(text), secrets))
      done()
    },
  })
  return new Console(log, log)
}

async function loginOf(flags: Flags, io: Io, use: ClientFor): Promise<Credentials> {
  if (use.emulator !== undefined) return { apiKey: 'emulated' }
  return await credentialsOf(flags, io.env).catch((cause: unknown) => {
    if (use.keyless) return {}
    throw cause
  })
}

export function baseUrlOf(flags: Flags, env: Io['env']): string | undefined {
  return flags.text('base-url') ?? (env['ANTHROPIC_BASE_URL']?.trim() || undefined)
}

/** A key must not cross a network unencrypted. */
function checkBaseUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.username || url?.password) {
    // The value is not shown, since it is a secret too.
    throw new BatchStreamError('CBS_OPTION', '--base-url must not hold a user name or password')
  }
  if (isSafeUrl(text)) return
  // A mistyped one may hold a password or a key.
  const got = /[@?]/.test(text) ? '' : `, got "${text}"`
  throw new BatchStreamError(
    'CBS_OPTION',
    `--base-url must be https, or http on this machine${got}`,
  )
}

interface Credentials {
  readonly apiKey?: string
  readonly authToken?: string
}

/** The key, from a file or the environment and never from argv; nothing if the SDK has a login profile. */
async function credentialsOf(flags: Flags, env: Io['env']): Promise<Credentials> {
  const file = flags.text('api-key-file')
  if (file !== undefined) return { apiKey: await keyIn(file) }
  const apiKey = env['ANTHROPIC_API_KEY']
  if (apiKey) return { apiKey: checked('ANTHROPIC_API_KEY', apiKey, 'CBS_ACCESS') }
  const authToken = env['ANTHROPIC_AUTH_TOKEN']
  if (authToken) return { authToken: checked('ANTHROPIC_AUTH_TOKEN', authToken, 'CBS_ACCESS') }
  if (await hasProfile()) return {}
  throw new BatchStreamError(
    'CBS_ACCESS',
    'there is no API key: set ANTHROPIC_API_KEY (or name a file with --api-key-file), or use --emulate to try without one',
  )
}

/** Whether the SDK can log in. It would look for a profile or a federation rule only on the first call, which is too late. */
async function hasProfile(): Promise<boolean> {
  return await loadConfig().then(
    config => config !== null,
    (cause: unknown) => {
      throw wrapError('CBS_ACCESS', 'the login profile cannot be used', cause)
    },
  )
}

async function keyIn(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw wrapError('CBS_OPTION', `--api-key-file ${file} cannot be read`, cause)
  })
  return checked(`--api-key-file ${file}`, text, 'CBS_OPTION')
}

/** Rejects a key that is not a valid header value, since the error of the HTTP client would print it. */
function checked(where: string, text: string, code: 'CBS_OPTION' | 'CBS_ACCESS'): string {
  const key = text.trim()
  if (/^[\x21-\x7e]+$/.test(key)) return key
  throw new BatchStreamError(code, `${where} must hold one key: ASCII characters without blanks`)
}
