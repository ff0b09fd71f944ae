import { OPTIONS } from './options.ts'

/** The environment variables that are read beside those of the flags. */
export const VARIABLES: readonly { readonly names: string; readonly help: string }[] = [
  { names: 'ANTHROPIC_API_KEY', help: 'the key; --api-key-file comes before it' },
  { names: 'ANTHROPIC_AUTH_TOKEN', help: 'a bearer token, where there is no key' },
  { names: 'ANTHROPIC_BASE_URL', help: 'where the API is; --base-url comes before it' },
  { names: 'ANTHROPIC_MODEL', help: 'the model, where --model says none' },
  { names: 'HTTPS_PROXY, https_proxy', help: 'a proxy for all calls' },
  { names: 'NO_PROXY, no_proxy', help: 'hosts that are called without it' },
  {
    names: 'XDG_STATE_HOME',
    help: 'where jobs are kept, below claude-batch-stream/ [~/.local/state]',
  },
  { names: 'XDG_CONFIG_HOME', help: 'where claude-batch-stream/config.json is [~/.config]' },
  { names: 'HOME', help: 'the folder that ~ is' },
  {
    names: 'CLAUDE_BATCH_STREAM_NOTIFY_SECRET',
    help: 'signs what --notify sends',
  },
  { names: 'NO_COLOR', help: 'no colour' },
  { names: 'FORCE_COLOR', help: 'colour in a pipe, too; 0 is none' },
  { names: 'TERM', help: 'dumb: no line that is redrawn, no colour' },
]

/** The variable that gives a flag where the command line does not. */
export function variableOf(flag: string): string {
  return `CLAUDE_BATCH_STREAM_${flag.toUpperCase().replaceAll('-', '_')}`
}

/** The variables of all flags, each once. */
export function flagVariables(): string[] {
  const flags = OPTIONS.map(({ name, negative }) => (negative ? `no-${name}` : name))
  return [...new Set(flags)].sort().map(variableOf)
}
