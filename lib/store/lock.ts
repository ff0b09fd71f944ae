import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readFile, stat, type FileHandle } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { BatchStreamError, wrapError } from '../core/errors.ts'

/** A folder locked by this process. */
export interface Lock {
  release(): Promise<void>
}

/** The file in a job's folder from which its lock is derived. It exists before the job does. */
export const LOCK_FILE = 'lock'

/** How long to wait for the holder's process id before reporting the error without it. */
const ANSWER_MS = 1000

/**
 * Locks a folder exclusively; `CBS_JOB_IN_USE` if it is locked by another process, thread, cluster worker or copy of this
 * package. The kernel releases the lock when the process dies, so stale locks cannot exist. Node has no flock: Linux and
 * Windows have sockets with names outside the file system, macOS and the BSDs an exclusive open.
 */
export async function lockFolder(
  folder: string,
  platform: NodeJS.Platform = process.platform,
): Promise<Lock> {
  for (;;) {
    const { lock, isCurrent } = hasNamedSockets(platform)
      ? await lockBySocket(folder, platform)
      : await lockByOpen(folder)
    try {
      // While it was being locked, the folder may have been renamed or deleted, and another may have its path.
      if (await isCurrent()) return lock
    } catch (cause) {
      await lock.release()
      throw wrapError('CBS_DISK', `cannot lock ${folder}`, cause)
    }
    await lock.release()
  }
}

/** Whether a folder is locked. The check does not take the lock, so it does not get in the way of another process. */
export async function isLocked(
  folder: string,
  platform: NodeJS.Platform = process.platform,
): Promise<boolean> {
  if (hasNamedSockets(platform)) {
    const secret = await readFile(`${folder}/${LOCK_FILE}`).catch(() => Buffer.alloc(0))
    if (secret.length < SECRET_BYTES) return false
    return await answers(await addressOf(folder, secret, platform))
  }
  const held = await openLocked(folder, 0).catch((cause: NodeJS.ErrnoException) => cause)
  if (held instanceof Error) return held.code === 'EAGAIN'
  await held.close()
  return false
}

interface TakenLock {
  readonly lock: Lock
  /** Whether the folder's path still leads to what is locked. */
  readonly isCurrent: () => Promise<boolean>
}

function hasNamedSockets(platform: NodeJS.Platform): boolean {
  return platform === 'linux' || platform === 'win32'
}

// Any user can take any name and see the names in use, so the name must be unpredictable. It follows from a secret in the
// folder, which only the owner can read, and from the folder's identity, so that a copy is another job.
async function lockBySocket(folder: string, platform: NodeJS.Platform): Promise<TakenLock> {
  const find = async (): Promise<string> =>
    await addressOf(folder, await secretOf(folder), platform)
  const address = await find().catch(cause => {
    throw wrapError('CBS_DISK', `cannot lock ${folder}`, cause)
  })
  const server = createServer(socket => {
    socket.unref()
    // The client may disconnect before the reply.
    socket.on('error', () => {})
    socket.end(`${process.pid}\n`, () => socket.destroy())
  })
  server.unref()
  await listen(server, address).catch(async (cause: NodeJS.ErrnoException) => {
    throw cause.code === 'EADDRINUSE'
      ? inUse(folder, await holderOf(address), cause)
      : wrapError('CBS_DISK', `cannot lock ${folder}`, cause)
  })
  const release = (): Promise<void> => new Promise(done => server.close(() => done()))
  return { lock: { release }, isCurrent: async () => (await find()) === address }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // Without `exclusive`, cluster workers share one listening socket, and all of them would hold the lock.
    server.listen({ path, exclusive: true }, resolve)
  })
}

async function addressOf(
  folder: string,
  secret: Buffer,
  platform: NodeJS.Platform,
): Promise<string> {
  const { dev, ino } = await stat(folder, { bigint: true })
  const name = createHash('sha512').update(`${dev}-${ino}-`).update(secret).digest('hex')
  return platform === 'linux'
    ? `\0claude-batch-stream/${name}`.slice(0, SOCKET_NAME_BYTES)
    : `\\\\.\\pipe\\claude-batch-stream-${name}`
}

// The maximum length: Node 20 pads shorter names with NULs and later versions do not, so the versions would not see each
// other.
const SOCKET_NAME_BYTES = 108

const SECRET_BYTES = 32

/** More than enough, even if two processes create the secret at once. */
const SECRET_TRIES = 10

/**
 * The secret of a folder, created if needed. Several processes may create it at once or be killed halfway: each appends
 * until there are enough bytes, and the first bytes, which never change, are the secret.
 */
async function secretOf(folder: string): Promise<Buffer> {
  const { O_RDWR, O_CREAT, O_APPEND, O_NOFOLLOW } = constants
  const path = `${folder}/${LOCK_FILE}`
  const file = await open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600)
  try {
    const secret = Buffer.alloc(SECRET_BYTES)
    for (let tries = 0; tries < SECRET_TRIES; tries++) {
      if ((await file.read(secret, 0, SECRET_BYTES, 0)).bytesRead === SECRET_BYTES) return secret
      await file.write(randomBytes(SECRET_BYTES / 2).toString('hex'))
    }
    throw new Error(`${path} cannot be read as it was written`)
  } finally {
    await file.close()
  }
}

function answers(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(address)
    // A holder that is too busy to accept (EAGAIN) exists; a name that the system does not allow (EINVAL) has none.
    socket.once('error', ({ code = '' }: NodeJS.ErrnoException) =>
      resolve(!['ECONNREFUSED', 'ENOENT', 'EINVAL'].includes(code)),
    )
    socket.once('connect', () => {
      resolve(true)
      socket.destroy()
    })
  })
}

/** The process id of a lock's holder; undefined if it does not reply, for example because it is stopped. */
function holderOf(address: string): Promise<number | undefined> {
  return new Promise(resolve => {
    const socket = connect(address)
    let said = ''
    socket.setEncoding('latin1').on('data', text => (said += text))
    socket.setTimeout(ANSWER_MS, () => socket.destroy())
    socket.once('error', () => {})
    socket.once('close', () => resolve(pidIn(said)))
  })
}

function pidIn(text: string): number | undefined {
  return /^\d{1,10}\n$/.test(text) ? Number(text) : undefined
}

// O_EXLOCK of the BSDs, which Node passes on although it does not name it.
const O_EXLOCK = 0x20

async function openLocked(folder: string, more: number): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_NONBLOCK | O_EXLOCK | more
  return await open(`${folder}/${LOCK_FILE}`, flags, 0o600)
}

async function lockByOpen(folder: string): Promise<TakenLock> {
  const path = `${folder}/${LOCK_FILE}`
  const file = await openLocked(folder, constants.O_CREAT).catch(
    async (cause: NodeJS.ErrnoException) => {
      throw cause.code === 'EAGAIN'
        ? inUse(folder, pidIn(await readFile(path, 'latin1').catch(() => '')), cause)
        : wrapError('CBS_DISK', `cannot lock ${folder}`, cause)
    },
  )
  const isCurrent = async (): Promise<boolean> => {
    await file.truncate(0)
    await file.write(`${process.pid}\n`, 0)
    return (await file.stat({ bigint: true })).ino === (await stat(path, { bigint: true })).ino
  }
  return { lock: { release: () => file.close() }, isCurrent }
}

function inUse(folder: string, pid: number | undefined, cause: Error): BatchStreamError {
  const message =
    pid === process.pid
      ? `this process already has the job in ${folder} open; close it first`
      : `${pid === undefined ? 'another process' : `process ${pid}`} works on the job in ${folder}; wait for it, or run \`claude-batch-stream status\``
  return new BatchStreamError('CBS_JOB_IN_USE', message, { cause })
}
