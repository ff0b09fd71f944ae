import { readFile } from 'node:fs/promises'
import { BatchStreamError } from '../core/errors.ts'
import { didYouMean } from '../core/nearest.ts'
import { EXIT } from './exit-code.ts'
import type { Takes } from './flags.ts'
import { COMMANDS, longHelp, shortHelp } from './help.ts'
import type { Io } from './io.ts'
import { OPTIONS, type CommandName, type OptionSpec } from './options.ts'
import type { Command } from './perform.ts'
import { print } from './print.ts'
import { report } from './report-failure.ts'
import { Talk } from './talk.ts'
import { earlyStyle } from './talk-style.ts'
import { TOPICS } from './topics.ts'
import { screenWidth } from './wrap.ts'

interface Entry {
  readonly takes: Takes
  /** Loaded on demand, so that `--version` need not load every command. */
  readonly load: () => Promise<Command>
}

const ENTRIES: Readonly<Record<CommandName, Entry>> = {
  run: { takes: 'nothing', load: async () => (await import('./commands/run.ts')).run },
  resume: { takes: 'maybe one', load: async () => (await import('./commands/resume.ts')).resume },
  status: { takes: 'maybe one', load: async () => (await import('./commands/status.ts')).status },
  report: { takes: 'one', load: async () => (await import('./commands/report.ts')).report },
  list: { takes: 'nothing', load: async () => (await import('./commands/list.ts')).list },
  results: { takes: 'one', load: async () => (await import('./commands/results.ts')).results },
  merge: { takes: 'one', load: async () => (await import('./commands/merge.ts')).merge },
  diff: { takes: 'two', load: async () => (await import('./commands/diff.ts')).diff },
  retry: { takes: 'one', load: async () => (await import('./commands/retry.ts')).retryFailed },
  cancel: { takes: 'one', load: async () => (await import('./commands/cancel.ts')).cancel },
  estimate: {
    takes: 'nothing',
    load: async () => (await import('./commands/estimate.ts')).estimate,
  },
  doctor: { takes: 'maybe one', load: async () => (await import('./commands/doctor.ts')).doctor },
  rm: { takes: 'one', load: async () => (await import('./commands/rm.ts')).rm },
  prune: { takes: 'nothing', load: async () => (await import('./commands/prune.ts')).prune },
  emulate: { takes: 'nothing', load: async () => (await import('./commands/emulate.ts')).emulate },
}

/** The program: words in, exit code out. All access to the outside world goes through `io`. */
export async function main(words: readonly string[], io: Io): Promise<number> {
  const talk = new Talk(io.stderr, false, 0, earlyStyle(words, io))
  // A closed stderr (nohup, a dead terminal) must not end a run, and errors of stdout are reported by its writes. The
  // listeners stay, since an error can follow the last write.
  const ignore = (): void => {}
  io.stderr.on('error', ignore)
  io.stdout.on('error', ignore)
  try {
    return await start(words, io)
  } catch (error) {
    return report(
      error,
      talk,
      words.filter(word => word === '-v').length > 1 || words.includes('-vv'),
    )
  }
}

async function start(given: readonly string[], io: Io): Promise<number> {
  if (given[0] === '--version' || given[0] === '-V') return await tell(io, `${await version()}\n`)
  const words = commandFirst(given, [...Object.keys(ENTRIES), 'help', 'completion'])
  const [first, ...rest] = words
  if (first === '-h') return await tell(io, screen())
  const [word] = rest
  if (first === 'help')
    return await tell(
      io,
      word === undefined || word.startsWith('-') ? screen() : await helpOn(word, screenWidth(io)),
    )
  // These two have no flags, so the first screen is their help.
  if (first === 'completion' && (word === '--help' || word === '-h'))
    return await tell(io, screen())
  if (first === 'completion') {
    const { completionFor } = await import('./completion/completion.ts')
    return await tell(io, completionFor(word))
  }
  const isNamed = first !== undefined && !first.startsWith('-')
  const command = isNamed ? commandNamed(first) : 'run'
  const own = isNamed ? rest : words
  if (own.includes('--help') || own.includes('-h'))
    return await tell(io, await longHelp(command, screenWidth(io)))
  const { parseFlags } = await import('./flags.ts')
  const flags = parseFlags(command, ENTRIES[command].takes, own, io.env)
  if (
    (command === 'run' || command === 'estimate') &&
    io.stdin.isTTY &&
    flags.text('input') === undefined
  ) {
    io.stderr.write(screen())
    return EXIT.usage
  }
  const { perform } = await import('./perform.ts')
  return await perform(command, ENTRIES[command].load, flags, io, words)
}

/** Moves the command to the front if flags come before it: `--state-dir DIR status`. */
export function commandFirst(
  words: readonly string[],
  commands: readonly string[],
): readonly string[] {
  let at = 0
  for (let next = words[0]; next?.startsWith('-') && next !== '--'; next = words[at]) {
    at += 1
    const spec = specWithValue(next)
    // As in parsing, a flag with several values takes all words up to the next flag.
    if (spec?.many) while (words[at]?.startsWith('-') === false) at += 1
    else if (spec && !(spec.maybe && words[at]?.startsWith('-'))) at += 1
  }
  const word = words[at]
  if (word === undefined || !commands.includes(word)) return words
  return [word, ...words.toSpliced(at, 1)]
}

/** The flag whose value is the next word: `--model`, `-m` or `-qm`, but not `--model=x` or `-mx`. */
function specWithValue(word: string): OptionSpec | undefined {
  const takesValue = ({ arg, negative }: OptionSpec): boolean =>
    arg !== undefined && negative !== true
  if (word.startsWith('--'))
    return OPTIONS.find(spec => takesValue(spec) && `--${spec.name}` === word)
  for (let at = 1; at < word.length; at += 1) {
    const found = OPTIONS.find(spec => takesValue(spec) && spec.short === word[at])
    if (found) return at === word.length - 1 ? found : undefined
  }
  return undefined
}

function screen(): string {
  return shortHelp(Object.keys(TOPICS))
}

/** A topic, a command's flags, or both if they share a name. */
async function helpOn(word: string, width: number): Promise<string> {
  if (word === 'help' || word === 'completion') return screen()
  const topic = Object.hasOwn(TOPICS, word) ? await TOPICS[word]?.text(width) : undefined
  if (topic === undefined) return await longHelp(commandNamed(word, Object.keys(TOPICS)), width)
  if (!Object.hasOwn(ENTRIES, word)) return topic
  return `${topic}\n${await longHelp(commandNamed(word), width)}`
}

function commandNamed(
  word: string,
  others: readonly string[] = ['help', 'completion'],
): CommandName {
  // The keys of the table are the names of the commands.
  if (Object.hasOwn(ENTRIES, word)) return word as CommandName
  const hint = /[./]/.test(word)
    ? `; to read a file: -i ${word}`
    : didYouMean(word, [...Object.keys(COMMANDS), ...others])
  throw new BatchStreamError('CBS_OPTION', `"${word}" is not a command${hint}`)
}

async function tell(io: Io, text: string): Promise<number> {
  await print(io.stdout, text)
  return EXIT.answered
}

async function version(): Promise<string> {
  const text = await readFile(
    new URL(import.meta.resolve('claude-batch-stream/package.json')),
    'utf8',
  )
  const { version }: { version: string } = JSON.parse(text)
  return version
}
