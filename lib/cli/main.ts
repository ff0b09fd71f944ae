import { readFile } from 'node:fs/promises'
import { BatchStreamError, messageOf } from '../core/errors.ts'
import { didYouMean } from '../core/nearest.ts'
import type { Context } from './context.ts'
import {
  EXIT,
  exitCodeOf,
  isClosedReader,
  isOutOfFiles,
  isResumable,
  SIGNALS,
} from './exit-code.ts'
import { sayNext, type Ending, type Next } from './finish.ts'
import type { Flags, Takes } from './flags.ts'
import { COMMANDS, longHelp, shortHelp } from './help.ts'
import { commandFirst } from './command-first.ts'
import type { Io } from './io.ts'
import { LEDGER_COMMANDS, type CommandName } from './options.ts'
import { stateDir } from './state-dir.ts'
import { shownWords, withoutPassword } from './shown-words.ts'
import { print } from './print.ts'
import { openWatch, type Watch } from './progress/watch.ts'
import { Talk } from './talk.ts'
import { TOPICS } from './topics.ts'
import { screenWidth } from './wrap.ts'
import { earlyStyle, talkStyle } from './talk-style.ts'

interface Entry {
  readonly takes: Takes
  /** Loaded when it is called: `--version` must not wait for all of them. */
  readonly load: () => Promise<(context: Context) => Promise<Ending>>
}

const ENTRIES: Readonly<Record<CommandName, Entry>> = {
  run: { takes: 'nothing', load: async () => (await import('./commands/run.ts')).run },
  resume: { takes: 'maybe one', load: async () => (await import('./commands/resume.ts')).resume },
  status: { takes: 'maybe one', load: async () => (await import('./commands/status.ts')).status },
  report: { takes: 'one', load: async () => (await import('./commands/report.ts')).report },
  list: { takes: 'nothing', load: async () => (await import('./commands/list.ts')).list },
  results: { takes: 'one', load: async () => (await import('./commands/results.ts')).results },
  merge: { takes: 'one', load: async () => (await import('./commands/merge.ts')).merge },
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

/** The program: words in, exit code out. All that it touches of the world comes in `io`. */
export async function main(words: readonly string[], io: Io): Promise<number> {
  const talk = new Talk(io.stderr, false, 0, earlyStyle(words, io))
  // A stderr that is closed (nohup, a dead terminal) must not end a run; what stdout refuses comes back from its writes.
  // They stay on: an error can come after the last word is said.
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
  // These two have no flags, so the first screen says all of them.
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
  return await perform(command, flags, io, words)
}

/** Flags of a command that hold for the one that continues it, where they were given. */
const SAID_AGAIN = [
  'state-dir',
  'base-url',
  'api-key-file',
  'concurrency',
  'poll',
  'settle',
  'config',
  'ledger',
  'lease',
]

/** The ledger may be named by the environment, where its password is not shown to others. */
const LEDGER_VARIABLE = 'CLAUDE_BATCH_STREAM_LEDGER'

/** An emulated job dies with its emulator, so it is never in a ledger. */
function usesLedger(command: CommandName, flags: Flags): boolean {
  return LEDGER_COMMANDS.includes(command) && !flags.has('emulate')
}

/** Runs a command until it ends, or until a signal ends it. Ctrl-C detaches and never cancels: batches go on. */
async function perform(
  command: CommandName,
  flags: Flags,
  io: Io,
  words: readonly string[],
): Promise<number> {
  const quiet = flags.has('quiet')
  const talk = new Talk(io.stderr, quiet, flags.count('verbose'), talkStyle(flags, io))
  const stop = new AbortController()
  let signalled: keyof typeof SIGNALS | undefined
  let next = (): Next | undefined => undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    // Only the three of SIGNALS are listened to.
    const name = signal as keyof typeof SIGNALS
    if (signalled === undefined) {
      signalled = name
      return stop.abort()
    }
    // A second one leaves at once, whatever is still being closed: the job is safe at any moment.
    end(SIGNALS[name], next())
    io.exit(SIGNALS[name])
  }
  for (const signal of Object.keys(SIGNALS)) io.on(signal as NodeJS.Signals, onSignal)
  let watch: Watch | undefined
  const end = (code: number, following: Next | undefined): void => {
    if (following) sayNext(talk, following)
    watch?.exit(code, following?.words)
  }
  const context: Omit<Context, 'watch'> = {
    flags,
    io,
    talk,
    words: shownWords(words),
    signal: stop.signal,
    cwd: process.cwd(),
    placeFlags: SAID_AGAIN.flatMap(name => {
      const given = flags.text(name)
      if (given === undefined || (name === 'ledger' && io.env[LEDGER_VARIABLE] === given)) return []
      return [`--${name}`, name === 'ledger' ? withoutPassword(given) : given]
    }),
    nextIs: following => (next = following),
  }
  const work = async (): Promise<Ending> => {
    for (const line of flags.origins()) talk.detail(line)
    watch = await openWatch(command, flags, io, talk, stop.signal)
    const entry = await ENTRIES[command].load()
    if (!usesLedger(command, flags)) return await entry({ ...context, watch })
    const { copyJobs, openLedger } = await import('./ledger.ts')
    const opened = await openLedger(flags)
    try {
      // A new job has no copy yet.
      const name = flags.args[0] ?? flags.text('job')
      if (opened) await copyJobs(opened.ledger, stateDir(flags, io.env), name)
      return await entry({ ...context, watch, ledger: opened?.ledger })
    } finally {
      await opened?.close()
    }
  }
  const failed = (error: unknown): Ending => {
    const code = signalled ? SIGNALS[signalled] : report(error, talk, talk.verbosity > 1)
    return { code, next: isResumable(code) ? next() : undefined }
  }
  const ending = await work().catch(failed)
  end(ending.code, ending.next)
  await watch?.close()
  for (const signal of Object.keys(SIGNALS)) io.off(signal as NodeJS.Signals, onSignal)
  return ending.code
}

function screen(): string {
  return shortHelp(Object.keys(TOPICS))
}

/** A topic, a command's flags, or both where a command has a topic of its name. */
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
  if (Object.hasOwn(ENTRIES, word)) return word as CommandName
  const hint = /[./]/.test(word)
    ? `; to read a file: -i ${word}`
    : didYouMean(word, [...Object.keys(COMMANDS), ...others])
  throw new BatchStreamError('CBS_OPTION', `"${word}" is not a command${hint}`)
}

function report(error: unknown, talk: Talk, stacks: boolean): number {
  const code = exitCodeOf(error)
  // `| head` closing the pipe is the end of the work; nobody wants to read about it.
  if (isClosedReader(error)) return code
  const hint = isOutOfFiles(error) ? '; raise the limit with `ulimit -n`' : ''
  const message = messageOf(error) + hint
  talk.fail(
    code === EXIT.bug ? `${message} (this is a bug: please report it)` : message,
    error instanceof BatchStreamError ? error.code : undefined,
    stacks && error instanceof Error ? error.stack : undefined,
  )
  return code
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
