import { resolve } from 'node:path'
import type { Flags } from '../flags.ts'
import type { Io } from '../io.ts'
import { optionsOf, type CommandName } from '../options.ts'
import { pathOfShard, shardIn } from '../shard-flags.ts'
import type { Talk } from '../talk.ts'
import { oneOf, wrongFlag } from '../values.ts'
import { ProgressBar } from './bar.ts'
import { eventFile, eventLines } from './event-lines.ts'
import { Plain } from './plain.ts'
import type { ProgressReport, ReportSink } from './report.ts'

type Progress = (typeof PROGRESS)[number]
const PROGRESS = ['auto', 'bar', 'plain', 'json', 'none'] as const

/** Receives the events of a running command. */
export interface Watch extends Required<ReportSink> {
  /** Reports how the command ends; nothing is reported after it. */
  exit(code: number, next: readonly string[] | undefined): void
}

/** Opens the destinations of --progress and --events before anything else is done. */
export async function openWatch(
  command: CommandName,
  flags: Flags,
  io: Pick<Io, 'stderr' | 'env' | 'clock'>,
  talk: Talk,
  signal: AbortSignal,
): Promise<Watch> {
  const takes = optionsOf(command).some(({ name }) => name === 'events')
  const named = takes ? flags.text('events') : undefined
  if (named !== undefined) mustBeApart(named, flags)
  const shard = named?.includes('{shard}') ? shardIn(flags, io.env) : undefined
  const events = pathOfShard('--events', named, shard)
  const progress = takes ? progressOf(flags, io) : 'none'
  const sinks: ReportSink[] = []
  if (progress === 'json') sinks.push(await eventLines(io.stderr))
  if (progress === 'bar') sinks.push(new ProgressBar(io.stderr, talk, io.clock))
  if (progress === 'plain') sinks.push(new Plain(talk, io.clock))
  if (events !== undefined) sinks.push(await eventFile(events, talk, signal))
  let job: string | null = null
  const tell = (report: ProgressReport): void => {
    job = report.job
    for (const sink of sinks) sink.write(report)
  }
  return {
    write: tell,
    count(read) {
      for (const sink of sinks) sink.count?.(read)
    },
    exit: (code, next = undefined) =>
      tell({
        time: new Date(io.clock.now()).toISOString(),
        job,
        type: 'exit',
        code,
        next: next ?? null,
      }),
    async close() {
      for (const sink of sinks) await sink.close?.()
    },
  }
}

/** Rejects events in a file of rows before it is created. */
function mustBeApart(events: string, flags: Flags): void {
  for (const name of ['output', 'errors']) {
    const rows = flags.text(name)
    if (rows !== undefined && resolve(rows) === resolve(events))
      throw wrongFlag('--events', `another file than --${name}`, events)
  }
}

/** How progress is shown. A redrawn line needs a capable terminal; with -q only machine-readable progress is shown. */
function progressOf(flags: Flags, { stderr, env }: Pick<Io, 'stderr' | 'env'>): Progress {
  const choice = oneOf('--progress', flags.text('progress') ?? 'auto', PROGRESS)
  if (choice === 'json' || choice === 'none') return choice
  if (flags.has('quiet')) return 'none'
  if (choice !== 'auto') return choice
  return stderr.isTTY && env['TERM'] !== 'dumb' ? 'bar' : 'plain'
}
