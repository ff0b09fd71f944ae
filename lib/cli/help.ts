import {
  OPTIONS,
  optionsOf,
  type CommandName,
  type OptionGroup,
  type OptionSpec,
} from './options.ts'
import { wrapItems, type HelpItem } from './wrap.ts'

/** Each command in one line. */
export const COMMANDS: Readonly<
  Record<CommandName, { readonly words: string; readonly help: string }>
> = {
  run: { words: '[run] [flags]', help: 'read records, write rows (default command)' },
  resume: { words: 'resume [JOB]', help: 'resume a job (default: the only unfinished one)' },
  status: { words: 'status [JOB]', help: 'show the state of a job' },
  report: { words: 'report JOB', help: 'write a job as an HTML page: -o report.html' },
  list: { words: 'list', help: 'list jobs on this machine (--remote: batches)' },
  results: { words: 'results JOB|BATCH_ID', help: 'print the results again, free' },
  merge: { words: 'merge JOB', help: 'print the rows of all shards, in input order' },
  diff: { words: 'diff JOB1 JOB2', help: 'compare the answers of two jobs' },
  retry: { words: 'retry JOB', help: 'retry only the failed rows' },
  cancel: { words: 'cancel JOB|BATCH_ID', help: 'cancel batches at the API' },
  estimate: { words: 'estimate', help: 'estimate the cost of a run: put it before a run' },
  doctor: { words: 'doctor [JOB]', help: 'check the key, the host, the clock and the disk' },
  rm: { words: 'rm JOB', help: 'delete a job (prune: those that are older than --keep)' },
  prune: { words: 'prune', help: 'delete finished jobs that are older than --keep' },
  emulate: { words: 'emulate', help: 'run a local Message Batches API for tests' },
}

/** Help entries that are not commands of the table. */
export const OTHERS: readonly { readonly words: string; readonly help: string }[] = [
  { words: 'completion SHELL', help: 'print a completion script for bash, zsh or fish' },
  { words: 'help [COMMAND|TOPIC]', help: 'show all flags of a command, or a topic:' },
]

// Rows go to stdout by default, as the example shows.
const SHORT = ['input', 'prompt', 'emulate']

/** One screen of 24 lines: the purpose, the commands, and the most used flags. */
export function shortHelp(topics: readonly string[]): string {
  // It fits on one screen of 24 lines: `rm` names `prune`.
  const { prune: _, ...shown } = COMMANDS
  const commands = [...Object.values(shown), ...OTHERS]
  const flags = optionsOf('run').filter(({ name, negative }) => SHORT.includes(name) && !negative)
  return [
    'Sends records to Claude in batches, at half price, and writes a row for each',
    "  cat data.csv | claude-batch-stream -p 'Sentiment of: {{review}}' > out.jsonl",
    ...commands.map(({ words, help }) => `  ${words.padEnd(23)}${help}`),
    `    ${topics.join(', ')}`,
    'Flags of run (all of them: --help):',
    ...flags.map(shortLine),
    '',
  ].join('\n')
}

/** All flags of a command by group, for a screen width. */
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

/** Flags by group, in the order of the table. */
export function groupsOf(
  specs: readonly OptionSpec[],
): readonly (readonly [OptionGroup, readonly OptionSpec[]])[] {
  const groups = [...new Set(OPTIONS.map(({ group }) => group))]
  return groups
    .map(group => [group, specs.filter(spec => spec.group === group)] as const)
    .filter(([, own]) => own.length > 0)
}

/** A flag on one line: its help up to the first semicolon. */
function shortLine(spec: OptionSpec): string {
  const [flag, text] = itemOf(spec)
  return `  ${flag.padEnd(22)} ${text.replace(/;.*| \[[^\]]*\]$/, '')}`
}

function itemOf(spec: OptionSpec): HelpItem {
  const short = spec.short === undefined ? '    ' : `-${spec.short}, `
  const name = `${spec.negative ? '--no-' : '--'}${spec.name}`
  const arg = spec.maybe ? `[${spec.arg}]` : spec.arg
  const value = arg === undefined ? '' : ` ${arg}${spec.many ? '...' : ''}`
  const fallback = spec.fallback === undefined ? '' : ` [${spec.fallback}]`
  return [`${short}${name}${value}`, `${spec.help}${fallback}`]
}
