import type { Flags } from '../flags.ts'
import type { Io } from '../io.ts'
import { optionsOf, type CommandName } from '../options.ts'
import type { Talk } from '../talk.ts'
import { oneOf } from '../values.ts'
import { eventFile, eventLines } from './event-lines.ts'
import type { Report, Sink } from './report.ts'

const PROGRESS = ['json', 'none'] as const

/** Whoever watches a command at work. */
export interface Watch extends Required<Sink> {
  /** Says how the command ends; nothing is told after it. */
  exit(code: number, next: readonly string[] | undefined): void
}

/** Opens what --progress and --events name, before anything else is done. */
export async function openWatch(
  command: CommandName,
  flags: Flags,
  io: Pick<Io, 'stderr'>,
  talk: Talk,
): Promise<Watch> {
  const takes = optionsOf(command).some(({ name }) => name === 'events')
  const events = takes ? flags.text('events') : undefined
  const progress = oneOf('--progress', (takes && flags.text('progress')) || 'none', PROGRESS)
  const sinks: Sink[] = []
  if (progress === 'json') sinks.push(await eventLines(io.stderr))
  if (events !== undefined) sinks.push(await eventFile(events, talk))
  let job: string | null = null
  const tell = (report: Report): void => {
    job = report.job
    for (const sink of sinks) sink.tell(report)
  }
  return {
    tell,
    exit: (code, next = undefined) =>
      tell({ time: new Date().toISOString(), job, type: 'exit', code, next: next ?? null }),
    async close() {
      for (const sink of sinks) await sink.close?.()
    },
  }
}
