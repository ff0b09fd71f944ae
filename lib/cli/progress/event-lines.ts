import { createWriteStream } from 'node:fs'
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { wrapError } from '../../core/errors.ts'
import { isPipe, openPipe, waitsForReader } from '../pipe.ts'
import type { Talk } from '../talk.ts'
import { wrongFlag } from '../values.ts'
import type { ReportSink } from './report.ts'

/** Appends reports as JSON lines to a file, so that a resumed job has one history. */
export async function eventFile(
  path: string,
  talk: Talk,
  signal: AbortSignal,
): Promise<ReportSink> {
  if (path === '-') throw wrongFlag('--events', 'a file: stdout is for rows', path)
  const isRead = await isPipe(path)
  const file = isRead
    ? await openPipe(path, { signal, onWait: () => talk.info(waitsForReader(path)) })
    : await openFile(path)
  // A failing history must not stop a paid run.
  file.on('error', ({ message }) =>
    talk.warn(`--events ${path} can no longer be written (${message}); the run continues`),
  )
  const lines = await eventLines(file)
  return {
    ...lines,
    close: async () => {
      await lines.close()
      file.end()
      // A stalled reader must not hold up a run that is stopping.
      await finished(file, isRead ? { signal } : {}).catch(() => {})
      file.destroy()
    },
  }
}

async function openFile(path: string): Promise<Writable> {
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 })
  await once(file, 'open').catch((cause: unknown) => {
    throw wrapError('CBS_OUTPUT', `--events ${path} cannot be opened`, cause)
  })
  return file
}

/** Writes reports as JSON lines to a stream that stays open. */
export async function eventLines(
  stream: Writable,
): Promise<ReportSink & { close(): Promise<void> }> {
  const { default: ndjson } = await import('ndjson')
  const lines = ndjson.stringify()
  lines.on('data', (line: Buffer) => {
    if (!stream.destroyed) stream.write(line)
  })
  return {
    write: report => void lines.write(report),
    close: async () => {
      lines.end()
      await finished(lines)
    },
  }
}
