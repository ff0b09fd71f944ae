import { basename, dirname } from 'node:path'
import type { Random } from './random.ts'

/**
 * What a crash leaves. `killed`: the process was killed; everything that it wrote stays, and unsynced data is still not synced.
 * `lost`: the power failed, and only synced data remains. `torn`: the power failed during writes; each unsynced sector and name is in
 * one of the states that it had since the last sync.
 */
export type Crash = 'killed' | 'lost' | 'torn'

/** Bytes that a disk writes atomically. */
const SECTOR = 512

export class FileNode {
  /** What a reader sees. */
  bytes: Buffer = Buffer.alloc(0)
  /** Its states since the last sync, oldest first. */
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

  /** Makes the bytes and the size durable, but not the name, which belongs to the folder. */
  sync(): void {
    this.#versions = [this.bytes]
  }

  /** The synced state, which a power failure leaves. */
  get synced(): Buffer {
    // There is always a state.
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

  /** Sectors are written in any order, so each may have another state. Unwritten space of a file that grew is NUL. */
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
  /** Each is one step of the file system: all of its names change, or none. */
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
 * A machine's disk. It guarantees what POSIX does and no more: the bytes and the size of a file survive a power failure once the
 * file is synced, its name once the folder is synced, and a rename is atomic. (Most file systems guarantee more, such as the
 * name of a new file that is synced; a job that relied on it would not be safe everywhere.)
 */
export class Machine {
  readonly root: FolderNode

  constructor(root: FolderNode = new FolderNode()) {
    this.root = root
  }

  /** The machine after a crash; `random` decides what is torn. */
  crash(how: Crash, random: Random): Machine {
    if (how === 'killed') return this
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

  /** The folder of a path; an error if there is none. */
  folderOf(path: string): { readonly folder: FolderNode; readonly name: string } {
    const folder = this.folder(dirname(path))
    if (!folder) throw errno('ENOENT', dirname(path))
    return { folder, name: basename(path) }
  }

  /** Creates a folder that is durable already. */
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
