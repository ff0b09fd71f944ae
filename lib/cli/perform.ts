import type { Context } from './context.ts'
import { EXIT, isResumable, SIGNALS } from './exit-code.ts'
import { nextAfter, printNext, type Ending, type Next } from './finish.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { LEDGER_COMMANDS, type CommandName } from './options.ts'
import { openWatch, type Watch } from './progress/watch.ts'
import { report } from './report-failure.ts'
import { shownWords, withoutPassword } from './shown.ts'
import { stateDir } from './state-dir.ts'
import { Talk } from './talk.ts'
import { talkStyle } from './talk-style.ts'

export type Command = (context: Context) => Promise<Ending>

/** Flags of a command that are repeated in the command that continues it. */
const PLACE_FLAGS = [
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

/** The ledger may be named by the environment, where its password is hidden from others. */
const LEDGER_VARIABLE = 'CLAUDE_BATCH_STREAM_LEDGER'

/** An emulated job ends with its emulator, so it is never in a ledger. */
function usesLedger(command: CommandName, flags: Flags): boolean {
  return LEDGER_COMMANDS.includes(command) && !flags.has('emulate')
}

/** Runs a command until it ends or a signal ends it. Ctrl-C never cancels: batches continue. */
export async function perform(
  command: CommandName,
  load: () => Promise<Command>,
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
    // Only the signals of SIGNALS have listeners.
    const name = signal as keyof typeof SIGNALS
    if (signalled === undefined) {
      signalled = name
      return stop.abort()
    }
    // A second signal ends the process at once, whatever is still open: the job is safe at any moment.
    end(SIGNALS[name], next())
    io.endBy(name, SIGNALS[name])
  }
  // The keys of the table are signals.
  for (const signal of Object.keys(SIGNALS)) io.on(signal as NodeJS.Signals, onSignal)
  let watch: Watch | undefined
  const end = (code: number, following: Next | undefined): void => {
    // A job that is to be continued later, as the command said, is no news.
    const isExpected = code === EXIT.answered || code === EXIT.inFlight
    if (following && !(quiet && isExpected)) printNext(talk, following)
    watch?.exit(code, following?.words)
  }
  const context: Omit<Context, 'watch'> = {
    flags,
    io,
    talk,
    words: shownWords(words),
    signal: stop.signal,
    cwd: process.cwd(),
    placeFlags: PLACE_FLAGS.flatMap(name => {
      const given = flags.text(name)
      if (given === undefined || (name === 'ledger' && io.env[LEDGER_VARIABLE] === given)) return []
      return [`--${name}`, name === 'ledger' ? withoutPassword(given) : given]
    }),
    nextIs: following => (next = following),
  }
  const work = async (): Promise<Ending> => {
    for (const line of flags.origins()) talk.detail(line)
    watch = await openWatch(command, flags, io, talk, stop.signal)
    const entry = await load()
    if (!usesLedger(command, flags)) return await entry({ ...context, watch })
    const { copyJobs, openLedger } = await import('./ledger.ts')
    const opened = await openLedger(flags, io)
    try {
      // A new job has no copy yet.
      const name = flags.args[0] ?? flags.text('job')
      const held = opened && (await copyJobs(opened.ledger, stateDir(flags, io.env), name))
      return await entry({ ...context, watch, ledger: opened?.ledger, held })
    } finally {
      await opened?.close()
    }
  }
  const failed = async (error: unknown): Promise<Ending> => {
    const code = signalled ? SIGNALS[signalled] : report(error, talk, talk.verbosity > 1)
    return { code, next: isResumable(code) ? await nextAfter(error, next()) : undefined }
  }
  const ending = await work().catch(failed)
  end(ending.code, ending.next)
  await watch?.close()
  // The keys of the table are signals.
  for (const signal of Object.keys(SIGNALS)) io.off(signal as NodeJS.Signals, onSignal)
  return ending.code
}
