import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { BatchStreamError, wrapError } from '../errors.ts'

/** Holds a folder for this process. */
export interface Lock {
  release(): Promise<void>
}

/**
 * Takes a folder for this process alone; `CBS_JOB_IN_USE` when another has it. The kernel frees the lock when its
 * process dies, however it dies, so there is no stale lock to be guessed at. Node has no flock: Linux gives us a socket
 * in the abstract namespace, named after the folder's device and inode; macOS and the BSDs an exclusive open.
 */
export async function lockFolder(
  folder: string,
  platform: NodeJS.Platform = process.platform,
): Promise<Lock> {
  const address = await addressOf(folder, platform)
  return address === undefined ? await lockByOpen(folder) : await lockBySocket(folder, address)
}

/** Whether a process holds a folder, found out without taking it: who only looks must not be in the way of who works. */
export async function isLocked(
  folder: string,
  platform: NodeJS.Platform = process.platform,
): Promise<boolean> {
  const address = await addressOf(folder, platform)
  if (address !== undefined) return await answers(address)
  try {
    await (await lockByOpen(folder)).release()
    return false
  } catch {
    return true
  }
}

function answers(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(address)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** The socket that stands for a folder; undefined where a file does. */
async function addressOf(folder: string, platform: NodeJS.Platform): Promise<string | undefined> {
  if (platform === 'linux') return `\0claude-batch-stream/${await identityOf(folder)}`
  if (platform === 'win32') return `\\\\.\\pipe\\claude-batch-stream-${await identityOf(folder)}`
  return undefined
}

async function identityOf(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder, { bigint: true }).catch(cause => {
    throw wrapError('CBS_DISK', `cannot look at ${folder}`, cause)
  })
  return `${dev}-${ino}`
}

function lockBySocket(folder: string, address: string): Promise<Lock> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => socket.destroy())
    server.unref()
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(
        cause.code === 'EADDRINUSE'
          ? inUse(folder, cause)
          : wrapError('CBS_DISK', `cannot lock ${folder}`, cause),
      )
    })
    server.listen(address, () => {
      resolve({ release: () => new Promise(done => server.close(() => done())) })
    })
  })
}

// O_EXLOCK of the BSDs, which Node passes on without naming it.
const O_EXLOCK = 0x20

async function lockByOpen(folder: string): Promise<Lock> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | O_EXLOCK
  const file = await open(`${folder}/lock`, flags, 0o600).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === 'EAGAIN'
      ? inUse(folder, cause)
      : wrapError('CBS_DISK', `cannot lock ${folder}`, cause)
  })
  return { release: () => file.close() }
}

function inUse(folder: string, cause: Error): BatchStreamError {
  const message = `another process works on the job in ${folder}; wait for it, or look with \`claude-batch-stream status\``
  return new BatchStreamError('CBS_JOB_IN_USE', message, { cause })
}
