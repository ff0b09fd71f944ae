import { distance } from 'fastest-levenshtein'
import { BatchStreamError } from '../core/errors.ts'
import { OPTIONS } from './options.ts'

/** Environment variables besides those of the flags. */
export const VARIABLES: readonly { readonly names: string; readonly help: string }[] = [
  { names: 'ANTHROPIC_API_KEY', help: 'API key; --api-key-file wins over it' },
  { names: 'ANTHROPIC_AUTH_TOKEN', help: 'bearer token, used if there is no key' },
  { names: 'ANTHROPIC_BASE_URL', help: 'URL of the API; --base-url wins over it' },
  {
    names: 'ANTHROPIC_CUSTOM_HEADERS',
    help: 'headers of all calls: a line of `Name: value` for each',
  },
  {
    names: 'ANTHROPIC_LOG',
    help: 'what the SDK logs to stderr: debug, info, warn or error [warn]',
  },
  { names: 'ANTHROPIC_MODEL', help: 'default for --model' },
  { names: 'HTTPS_PROXY, https_proxy', help: 'proxy for all calls' },
  { names: 'NO_PROXY, no_proxy', help: 'hosts to call without the proxy' },
  {
    names: 'XDG_STATE_HOME',
    help: 'jobs are kept in its folder claude-batch-stream [~/.local/state]',
  },
  {
    names: 'XDG_CONFIG_HOME',
    help: 'flags are read from its file claude-batch-stream/config.json [~/.config]',
  },
  { names: 'HOME', help: 'home folder (~)' },
  { names: 'CLAUDE_BATCH_STREAM_NOTIFY_SECRET', help: 'signs the requests of --notify' },
  { names: 'NO_COLOR', help: 'no colors' },
  { names: 'FORCE_COLOR', help: 'colors even in a pipe; 0: no colors' },
  { names: 'TERM', help: 'dumb: no redrawn progress line and no colors' },
]

/** The variable of a flag. */
export function variableOf(flag: string): string {
  return `CLAUDE_BATCH_STREAM_${flag.toUpperCase().replaceAll('-', '_')}`
}

const PREFIX = variableOf('')

/**
 * Rejects a variable whose name is off by one character or by underscores: a cap that is ignored costs money. Others with the prefix may
 * belong to another program, such as those that Kubernetes sets for a service of this name.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function checkVariables(env: Readonly<Record<string, string | undefined>>): void {
  const given = Object.keys(env).filter(name => name.startsWith(PREFIX))
  if (given.length === 0) return
  const known = new Set([
    ...flagVariables(),
    ...VARIABLES.flatMap(({ names }) => names.split(', ')),
  ])
  for (const name of given) {
    if (known.has(name)) continue
    const meant = [...known].find(one => isMisspelt(name, one))
    if (meant !== undefined)
      throw new BatchStreamError(
        'CBS_OPTION',
        `the environment has ${name}, which is no variable of this program: rename it to ${meant}, or remove it`,
      )
  }
}

function isMisspelt(name: string, known: string): boolean {
  return name.replaceAll('_', '') === known.replaceAll('_', '') || distance(name, known) === 1
}

/** The variables of all flags, each once. */
export function flagVariables(): string[] {
  const flags = OPTIONS.map(({ name, negative }) => (negative ? `no-${name}` : name))
  return [...new Set(flags)].sort().map(variableOf)
}
