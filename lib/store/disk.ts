import { constants, readSync, type BigIntStats } from 'node:fs'
import * as fs from 'node:fs/promises'
import { uptime } from 'node:os'
import { dirname } from 'node:path'
import { BatchStreamError, wrapError } from '../core/errors.ts'

/** An open file. Positions are byte offsets. */
export interface DiskFile {
  /** Fills as much of `into` as the file has from `position`; returns the number of bytes. */
  read(into: Uint8Array, position: number): Promise<number>
  /** The same synchronously, for a few bytes that are probably cached; optional. */
  readSync?(into: Uint8Array, position: number): number
  /** Writes all of `bytes` at `position`. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Resolves when the file's bytes survive a power failure. */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  size(): Promise<number>
  /** Identifies this file among all others while it is open; optional. */
  identity?(): Promise<string>
  /** The same, but valid after a restart of the machine, which may renumber its devices. */
  persistentId?(): Promise<string>
  close(): Promise<void>
}

/** The target of a path: the size of a regular file, 'folder', or 'special' for a device or a pipe. */
export type FileKind = number | 'folder' | 'special'

/** The file system as jobs use it, replaceable so that tests can crash it at every step. */
export interface Disk {
  /**
   * `create` replaces a file, `update` opens it or creates it empty, `read` requires it to exist; none of them follows a
   * link. `output` opens a user's file, following links; `newOutput` creates one with the user's default permissions, and
   * fails with the cause `EEXIST` if anything is there.
   */
  open(path: string, how: 'create' | 'update' | 'read' | 'output' | 'newOutput'): Promise<DiskFile>
  /** What a path leads to; undefined if nothing is there. */
  stat(path: string): Promise<FileKind | undefined>
  /** The identity of the file at a path; undefined if there is none. */
  identityOf?(path: string): Promise<string | undefined>
  /** The content of a small file; undefined if there is none. */
  readWhole(path: string): Promise<Buffer | undefined>
  /** Creates a private folder and its missing parents; returns the topmost folder created. */
  makeFolder(path: string): Promise<string | undefined>
  /** The names in a folder; empty if it does not exist. */
  list(path: string): Promise<string[]>
  rename(from: string, to: string): Promise<void>
  /** Removes a file, or a folder with its content; does nothing if it does not exist. */
  remove(path: string): Promise<void>
  /** Resolves when the names in a folder survive a power failure. */
  syncFolder(path: string): Promise<void>
  /** Bytes available to this user at `path`. */
  free(path: string): Promise<number>
  /**
   * When the machine started, in seconds since 1970: data written before and not synced may be lost. Optional; without it
   * unsynced data need not be kept.
   */
  bootedAt?(): number
}

/** Replaces a small file atomically: after a crash it has the old or the new content. */
export async function replaceFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const next = `${path}.next`
  const file = await disk.open(next, 'create')
  try {
    await file.write(bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
  await disk.rename(next, path)
  await disk.syncFolder(dirname(path))
}

// O_NOFOLLOW: a link planted in a job's folder must not redirect writes.
const FLAGS = {
  create: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
  update: constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
  read: constants.O_RDONLY | constants.O_NOFOLLOW,
  // What another program appends in the moment of a write is not overwritten.
  output: constants.O_RDWR | constants.O_APPEND,
  newOutput: constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL,
}

function failed(what: string, path: string) {
  return (cause: unknown): never => {
    throw wrapError('CBS_DISK', `cannot ${what} ${path}`, cause)
  }
}

// Inodes of some file systems exceed the exact range of a number.
const BIGINT = { bigint: true } as const

function identityIn({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`
}

class NodeFile implements DiskFile {
  readonly #handle: fs.FileHandle
  readonly #path: string

  constructor(handle: fs.FileHandle, path: string) {
    this.#handle = handle
    this.#path = path
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < into.length) {
      const { bytesRead } = await this.#handle
        .read(into, done, into.length - done, position + done)
        .catch(failed('read', this.#path))
      if (bytesRead === 0) break
      done += bytesRead
    }
    return done
  }

  readSync(into: Uint8Array, position: number): number {
    try {
      return readSync(this.#handle.fd, into, 0, into.length, position)
    } catch (cause) {
      throw wrapError('CBS_DISK', `cannot read ${this.#path}`, cause)
    }
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle
        .write(bytes, done, bytes.length - done, position + done)
        .catch(failed('write', this.#path))
      done += bytesWritten
    }
  }

  async sync(): Promise<void> {
    await this.#handle.datasync().catch(failed('sync', this.#path))
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size).catch(failed('cut', this.#path))
  }

  async size(): Promise<number> {
    return (await this.#handle.stat().catch(failed('look at', this.#path))).size
  }

  async identity(): Promise<string> {
    return identityIn(await this.#handle.stat(BIGINT).catch(failed('look at', this.#path)))
  }

  async persistentId(): Promise<string> {
    const { ino, birthtimeNs } = await this.#handle
      .stat(BIGINT)
      .catch(failed('look at', this.#path))
    return `${ino}:${birthtimeNs}`
  }

  async close(): Promise<void> {
    await this.#handle.close().catch(failed('close', this.#path))
  }
}

/** The file system of this machine. */
export const nodeDisk: Disk = {
  async open(path, how) {
    const handle = await fs
      .open(path, FLAGS[how], how === 'newOutput' ? 0o666 : 0o600)
      .catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'ELOOP') return failed('open', path)(cause)
        throw new BatchStreamError(
          'CBS_DISK',
          `${path} is a symbolic link; a job follows none: remove it`,
          { cause },
        )
      })
    return new NodeFile(handle, path)
  },

  async stat(path) {
    const stat = await fs.stat(path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined
      return failed('look at', path)(cause)
    })
    if (stat?.isDirectory()) return 'folder'
    return stat && (stat.isFile() ? stat.size : 'special')
  },

  async identityOf(path) {
    const stat = await fs.stat(path, BIGINT).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined
      return failed('look at', path)(cause)
    })
    return stat && identityIn(stat)
  },

  async readWhole(path) {
    const handle = await fs.open(path, FLAGS.read).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined
      throw wrapError('CBS_DISK', `cannot open ${path}`, cause)
    })
    try {
      return await handle?.readFile().catch(failed('read', path))
    } finally {
      await handle?.close()
    }
  },

  async makeFolder(path) {
    const made = await makeFolders(path).catch(failed('make', path))
    await guardFolder(path)
    return made
  },

  async list(path) {
    return await fs.readdir(path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return []
      return failed('read', path)(cause)
    })
  },

  async rename(from, to) {
    await fs.rename(from, to).catch(failed('rename', from))
  },

  async remove(path) {
    await fs.rm(path, { recursive: true, force: true }).catch(failed('remove', path))
  },

  async syncFolder(path) {
    const handle = await fs.open(path, constants.O_RDONLY).catch((cause: NodeJS.ErrnoException) => {
      // A write-only folder, such as a drop box, cannot be synced.
      if (cause.code === 'EACCES') return undefined
      return failed('open', path)(cause)
    })
    try {
      await handle?.sync().catch(failed('sync', path))
    } finally {
      await handle?.close()
    }
  },

  async free(path) {
    const { bavail, bsize } = await fs.statfs(path).catch(failed('look at', path))
    return bavail * bsize
  },

  bootedAt: () => Math.round(Date.now() / 1000 - uptime()),
}

/** Node's recursive mkdir never ends if an existing folder, such as /proc, is reported as missing. */
async function makeFolders(path: string): Promise<string | undefined> {
  const above = dirname(path)
  const isThere = await fs.stat(above).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause
  })
  const highest = isThere ? undefined : await makeFolders(above)
  const made = await fs.mkdir(path, { mode: 0o700 }).then(
    () => path,
    (cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw cause
      return undefined
    },
  )
  return highest ?? made
}

/** A job's folder contains prompts and answers: it must be a real folder, owned by this user and private. */
async function guardFolder(path: string): Promise<void> {
  const stat = await fs.lstat(path).catch(failed('look at', path))
  const refuse = (what: string): BatchStreamError =>
    new BatchStreamError(
      'CBS_DISK',
      `${path} ${what}; choose another folder with \`dir\`, or mend it`,
      {
        option: 'dir',
      },
    )
  if (!stat.isDirectory()) throw refuse('is not a folder (a link is not followed)')
  if (process.getuid && stat.uid !== process.getuid()) throw refuse('belongs to another user')
  if ((stat.mode & 0o077) !== 0) await fs.chmod(path, 0o700).catch(failed('close to others', path))
}
