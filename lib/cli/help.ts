import { OPTIONS, optionsOf, type CommandName, type Group, type OptionSpec } from './options.ts'
import { wrapItems, type Item } from './wrap.ts'

/** What each command is for, in one line. */
export const COMMANDS: Readonly<
  Record<CommandName, { readonly words: string; readonly help: string }>
> = {
  run: { words: '[run] [flags]', help: 'records in, rows out (the default command)' },
  resume: { words: 'resume [JOB]', help: 'go on with a job; without JOB the only unfinished one' },
  status: { words: 'status [JOB]', help: 'what a job is doing' },
  report: { words: 'report JOB', help: 'a job as a page to look at: -o report.html' },
  list: { words: 'list', help: 'jobs on this machine (--remote: of the workspace)' },
  results: { words: 'results JOB|BATCH_ID', help: 'print results again, free' },
  retry: { words: 'retry JOB', help: 'ask again for the failed rows only' },
  cancel: { words: 'cancel JOB|BATCH_ID', help: 'cancel batches at the API' },
  estimate: { words: 'estimate', help: 'what a run would cost, expected and at worst' },
  doctor: { words: 'doctor [JOB]', help: 'look at key, host, clock, disk and journals' },
  rm: { words: 'rm JOB', help: 'delete a job; asks where paid answers would be lost' },
  prune: { words: 'prune', help: 'delete finished jobs older than --keep' },
  emulate: { words: 'emulate', help: 'a local Message Batches API for tests and trials' },
}

/** What is no command of the table. */
export const OTHERS: readonly { readonly words: string; readonly help: string }[] = [
  { words: 'completion SHELL', help: 'what makes bash, zsh or fish complete all this' },
  { words: 'help [COMMAND|TOPIC]', help: 'all flags of a command, or one of:' },
]

// Rows go to stdout where no flag says otherwise, as the example shows.
const SHORT = ['input', 'prompt', 'dry-run', 'emulate']

/** One screen of 24 lines: what it is for, the commands, the flags that most people need. */
export function shortHelp(topics: readonly string[]): string {
  const commands = [...Object.values(COMMANDS), ...OTHERS]
  const flags = optionsOf('run').filter(({ name, negative }) => SHORT.includes(name) && !negative)
  return [
    "Records in, Claude's answers out, by Message Batches: half price, nothing lost",
    "  cat data.csv | claude-batch-stream -p 'Sentiment of: {{review}}' > out.jsonl",
    ...commands.map(({ words, help }) => `  ${words.padEnd(23)}${help}`),
    `    ${topics.join(', ')}`,
    'Flags of run (--help: all of them):',
    ...flags.map(shortLine),
    '',
  ].join('\n')
}

/** All flags of a command, by group, for a screen of some width. */
export async function longHelp(command: CommandName, width: number): Promise<string> {
  const { words, help } = COMMANDS[command]
  const groups = groupsOf(optionsOf(command))
  const lines = await wrapItems(
    groups.flatMap(([, specs]) => specs.map(itemOf)),
    width,
  )
  return [
    `claude-batch-stream ${words}`,
    `  ${help}`,
    '',
    ...groups.flatMap(([group, specs]) => [`${group}:`, ...lines.splice(0, specs.length), '']),
    ...(command === 'estimate'
      ? ['All other flags of run are accepted, too, and have no effect.', '']
      : []),
  ].join('\n')
}

/** Flags by their groups, in the order of the table. */
export function groupsOf(
  specs: readonly OptionSpec[],
): readonly (readonly [Group, readonly OptionSpec[]])[] {
  const groups = [...new Set(OPTIONS.map(({ group }) => group))]
  return groups
    .map(group => [group, specs.filter(spec => spec.group === group)] as const)
    .filter(([, own]) => own.length > 0)
}

/** A flag on one line: what its help says before the first semicolon. */
function shortLine(spec: OptionSpec): string {
  const [flag, text] = itemOf(spec)
  return `  ${flag.padEnd(22)} ${text.replace(/;.*| \[[^\]]*\]$/, '')}`
}

function itemOf(spec: OptionSpec): Item {
  const short = spec.short === undefined ? '    ' : `-${spec.short}, `
  const name = `${spec.negative ? '--no-' : '--'}${spec.name}`
  const arg = spec.maybe ? `[${spec.arg}]` : spec.arg
  const value = arg === undefined ? '' : ` ${arg}${spec.many ? '...' : ''}`
  const fallback = spec.fallback === undefined ? '' : ` [${spec.fallback}]`
  return [`${short}${name}${value}`, `${spec.help}${fallback}`]
}
