import { open, type FileHandle } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { BatchStreamError, wrapError } from '../../core/errors.ts'
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

/** How each line of events begins. */
const EVENT_START = '{"time":'

async function openFile(path: string): Promise<Writable> {
  const file = await open(path, 'a+', 0o600).catch((cause: unknown) => {
    throw wrapError('CBS_OUTPUT', `--events ${path} cannot be opened`, cause)
  })
  if (await holdsEvents(file)) return file.createWriteStream()
  await file.close()
  throw new BatchStreamError(
    'CBS_OUTPUT',
    `--events ${path} holds something other than events, which would be changed: choose another file`,
  )
}

/** Whether events can be appended: the file is empty or no regular one, or it begins with an event. */
async function holdsEvents(file: FileHandle): Promise<boolean> {
  const found = await file.stat()
  if (!found.isFile() || found.size === 0) return true
  const { buffer, bytesRead } = await file.read(Buffer.alloc(EVENT_START.length), { position: 0 })
  return buffer.toString('latin1', 0, bytesRead) === EVENT_START
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
