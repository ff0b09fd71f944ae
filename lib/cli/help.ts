import { OPTIONS, optionsOf, type CommandName, type Group, type OptionSpec } from './options.ts'

/** What each command is for, in one line. */
export const COMMANDS: Readonly<
  Record<CommandName, { readonly words: string; readonly help: string }>
> = {
  run: { words: '[run] [flags]', help: 'records in, rows out (the default command)' },
  resume: { words: 'resume [JOB]', help: 'go on with a job; without JOB the only unfinished one' },
  status: { words: 'status [JOB]', help: 'what a job is doing' },
  list: { words: 'list', help: 'jobs on this machine (--remote: batches of the workspace)' },
  results: { words: 'results JOB|BATCH_ID', help: 'print results again, free' },
  retry: { words: 'retry JOB', help: 'ask again for the failed rows only' },
  cancel: { words: 'cancel JOB|BATCH_ID', help: 'cancel batches at the API' },
  estimate: { words: 'estimate', help: 'what a run would cost, expected and at worst' },
  doctor: { words: 'doctor [JOB]', help: 'look at key, host, clock, disk and journals' },
  prune: { words: 'prune', help: 'delete finished jobs older than --keep' },
  emulate: { words: 'emulate', help: 'a local Message Batches API for tests and trials' },
}

const SHORT = new Set([
  'input',
  'prompt',
  'system',
  'model',
  'max-tokens',
  'output',
  'to',
  'dry-run',
  'emulate',
  'job',
  'quiet',
  'verbose',
])

/** One screen: what it is for, the commands, the flags that most people need. */
export function shortHelp(): string {
  const commands = Object.values(COMMANDS).map(({ words, help }) => `  ${words.padEnd(22)}${help}`)
  const flags = optionsOf('run').filter(({ name, negative }) => SHORT.has(name) && !negative)
  return [
    "Sends records through Claude's Message Batches API: half the price, never paid twice.",
    '',
    "  cat data.csv | claude-batch-stream -p 'Sentiment of: {{review}}' > out.jsonl",
    '',
    'Commands:',
    ...commands,
    `  ${'help [COMMAND]'.padEnd(22)}all flags (of a command); help prices: what tokens cost`,
    '',
    'Flags of run (--help: all):',
    ...flags.map(flagLine),
    '',
  ].join('\n')
}

/** All flags of a command, by group. */
export function longHelp(command: CommandName): string {
  const { words, help } = COMMANDS[command]
  const specs = optionsOf(command)
  const groups = [...new Set(OPTIONS.map(({ group }) => group))]
  const of = (group: Group): string[] => {
    const lines = specs.filter(spec => spec.group === group).map(flagLine)
    return lines.length === 0 ? [] : [`${group}:`, ...lines, '']
  }
  return [`claude-batch-stream ${words}`, `  ${help}`, '', ...groups.flatMap(of)].join('\n')
}

function flagLine(spec: OptionSpec): string {
  const short = spec.short === undefined ? '    ' : `-${spec.short}, `
  const name = `${spec.negative ? '--no-' : '--'}${spec.name}`
  const arg = spec.maybe ? `[${spec.arg}]` : spec.arg
  const flag = `  ${short}${name}${arg === undefined ? '' : ` ${arg}`}${spec.many && spec.arg ? '...' : ''}`
  const fallback = spec.fallback === undefined ? '' : ` [${spec.fallback}]`
  return `${flag.padEnd(34)} ${spec.help}${fallback}`
}
