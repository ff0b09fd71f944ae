import { loadConfig } from '@anthropic-ai/sdk/core/credentials'
import { readFile } from 'node:fs/promises'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'

export interface Credentials {
  readonly apiKey?: string
  readonly authToken?: string
}

/** The key, from a file or the environment and never from argv; nothing where the SDK has a profile to log in with. */
export async function credentialsOf(flags: Flags, env: Io['env']): Promise<Credentials> {
  const file = flags.text('api-key-file')
  if (file !== undefined) return { apiKey: await keyIn(file) }
  const apiKey = env['ANTHROPIC_API_KEY']
  if (apiKey) return { apiKey: checked('ANTHROPIC_API_KEY', apiKey, 'CBS_ACCESS') }
  const authToken = env['ANTHROPIC_AUTH_TOKEN']
  if (authToken) return { authToken: checked('ANTHROPIC_AUTH_TOKEN', authToken, 'CBS_ACCESS') }
  if (await hasProfile()) return {}
  throw new BatchStreamError(
    'CBS_ACCESS',
    'there is no API key: set ANTHROPIC_API_KEY (or name a file with --api-key-file), or try without one: --emulate',
  )
}

/** Would the SDK find a way to log in? It looks at a profile or a federation rule on the first call, which is too late for us. */
async function hasProfile(): Promise<boolean> {
  return await loadConfig().then(
    config => config !== null,
    (cause: unknown) => {
      throw wrapError('CBS_ACCESS', 'the profile to log in with cannot be used', cause)
    },
  )
}

async function keyIn(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw wrapError('CBS_OPTION', `--api-key-file ${file} cannot be read`, cause)
  })
  return checked(`--api-key-file ${file}`, text, 'CBS_OPTION')
}

/** A key that no header can carry would be named, with all its characters, by the error of whoever tried. */
function checked(where: string, text: string, code: 'CBS_OPTION' | 'CBS_ACCESS'): string {
  const key = text.trim()
  if (/^[\x21-\x7e]+$/.test(key)) return key
  throw new BatchStreamError(code, `${where} must hold one key: characters of ASCII, no blanks`)
}
