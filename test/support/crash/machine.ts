import { basename, dirname } from 'node:path'
import type { Random } from './random.ts'

/**
 * What a crash leaves. `kept`: the process was killed, so all that it did stays, and what was not synced still is not.
 * `lost`: the power went, and only what was synced is there. `torn`: the power went while the machine was writing: of what was not
 * synced, each sector of a file and each name is as it was at some moment since.
 */
export type Crash = 'kept' | 'lost' | 'torn'

/** What a disk writes at once, in bytes. */
const SECTOR = 512

export class FileNode {
  /** What a reader sees. */
  bytes: Buffer = Buffer.alloc(0)
  /** All that it has been since it was synced last, oldest first. */
  #versions: Buffer[] = [this.bytes]

  write(bytes: Buffer, at: number): void {
    const after = Buffer.alloc(Math.max(this.bytes.length, at + bytes.length))
    this.bytes.copy(after)
    bytes.copy(after, at)
    this.#become(after)
  }

  truncate(size: number): void {
    const after = Buffer.alloc(size)
    this.bytes.copy(after, 0, 0, size)
    this.#become(after)
  }

  /** The file's bytes and its size survive a power cut from now on. Its name does not: that is its folder's. */
  sync(): void {
    this.#versions = [this.bytes]
  }

  /** What a power cut leaves if nothing was written in the meantime. */
  get synced(): Buffer {
    // There is always one.
    return this.#versions[0] as Buffer
  }

  cutPower(random: Random | undefined): FileNode {
    const after = new FileNode()
    after.bytes = random ? this.#torn(random) : this.synced
    after.sync()
    return after
  }

  #become(bytes: Buffer): void {
    this.bytes = bytes
    this.#versions.push(bytes)
  }

  /** Sectors are written in any order, so each may be of another moment; what was not written where the file grew is NUL. */
  #torn(random: Random): Buffer {
    // In range by the bound.
    const some = (): Buffer => this.#versions[random.below(this.#versions.length)] as Buffer
    const one = some()
    if (random.next() < 0.3) return one
    const after = Buffer.alloc(Math.max(one.length, some().length))
    for (let at = 0; at < after.length; at += SECTOR)
      after.set(
        some()
          .subarray(at, at + SECTOR)
          .subarray(0, after.length - at),
        at,
      )
    return after
  }
}

type Node = FileNode | FolderNode

export class FolderNode {
  readonly names: Map<string, Node> = new Map()
  #durable: ReadonlyMap<string, Node> = new Map()
  /** Each is one step for the file system: all of its names change, or none. */
  #pending: (readonly [name: string, node: Node | undefined])[][] = []

  change(...names: (readonly [name: string, node: Node | undefined])[]): void {
    apply(this.names, names)
    this.#pending.push(names)
  }

  sync(): void {
    this.#durable = new Map(this.names)
    this.#pending = []
  }

  cutPower(random: Random | undefined): FolderNode {
    const names = new Map(this.#durable)
    for (const change of this.#pending) if (random && random.next() < 0.5) apply(names, change)
    const after = new FolderNode()
    for (const [name, node] of names) after.names.set(name, node.cutPower(random))
    after.sync()
    return after
  }
}

/**
 * A machine's disk. It promises what POSIX does and no more: the bytes and the size of a file survive a power cut once the
 * file is synced, its name once the folder is, and a rename is never half done. (Most file systems keep more than that, such
 * as the name of a new file that is synced; a job that relies on it would not be safe on all of them.)
 */
export class Machine {
  readonly root: FolderNode

  constructor(root: FolderNode = new FolderNode()) {
    this.root = root
  }

  /** The machine after a crash; `random` decides what is torn. */
  crash(how: Crash, random: Random): Machine {
    if (how === 'kept') return this
    return new Machine(this.root.cutPower(how === 'torn' ? random : undefined))
  }

  find(path: string): Node | undefined {
    let node: Node | undefined = this.root
    for (const name of path.split('/').filter(part => part !== '')) {
      if (!(node instanceof FolderNode)) return undefined
      node = node.names.get(name)
    }
    return node
  }

  file(path: string): FileNode | undefined {
    const node = this.find(path)
    return node instanceof FileNode ? node : undefined
  }

  folder(path: string): FolderNode | undefined {
    const node = this.find(path)
    return node instanceof FolderNode ? node : undefined
  }

  /** The folder that a path's last name stands in; it is an error where there is none. */
  folderOf(path: string): { readonly folder: FolderNode; readonly name: string } {
    const folder = this.folder(dirname(path))
    if (!folder) throw errno('ENOENT', dirname(path))
    return { folder, name: basename(path) }
  }

  /** Makes a folder that has been there since long. */
  settle(path: string): void {
    const { folder, name } = this.folderOf(path)
    folder.change([name, new FolderNode()])
    folder.sync()
  }
}

export function errno(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}

function apply(
  names: Map<string, Node>,
  change: readonly (readonly [string, Node | undefined])[],
): void {
  for (const [name, node] of change) {
    if (node) names.set(name, node)
    else names.delete(name)
  }
}
