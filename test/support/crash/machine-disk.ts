import { dirname } from 'node:path'
import type { Disk, DiskFile } from '../../../lib/store/disk.ts'
import { wrapError } from '../../../lib/core/errors.ts'
import type { Gate } from './gate.ts'
import { errno, FileNode, FolderNode, type Machine } from './machine.ts'

/** The disk of a machine for one process: each call is a step at which the process may die or the call may fail. */
export function diskOf(machine: Machine, gate: Gate): Disk {
  /** Passes the gate, then does the work; errors look like those of the real disk. */
  async function step<T>(what: string, path: string, work: () => T): Promise<T> {
    const passage = await gate.pass({ kind: 'disk', what: `${what} ${path}` })
    return attempt(what, path, () => {
      if (passage === 'fail') throw errno('EIO', path)
      return work()
    })
  }

  /** A sync takes time, which reveals code that does not wait for it. */
  async function slowly<T>(what: string, path: string, work: () => T): Promise<T> {
    // Fewer rounds than the virtual clock waits for. Other files do not need it.
    if (path.endsWith('journal.jsonl'))
      for (let round = 0; round < 4; round++) await new Promise(resolve => setImmediate(resolve))
    return await step(what, path, work)
  }

  function opened(path: string, node: FileNode): DiskFile {
    return {
      read: (into, position) =>
        step('read', path, () => node.bytes.subarray(position, position + into.length).copy(into)),
      async write(bytes, position) {
        const copy = Buffer.from(bytes)
        const passage = await gate.pass({ kind: 'disk', what: `write ${path}`, divisible: true })
        if (passage === 'whole') return node.write(copy, position)
        node.write(copy.subarray(0, Math.floor(copy.length / 2)), position)
        if (passage === 'part') return await gate.die()
        attempt('write', path, () => {
          throw errno('ENOSPC', path)
        })
      },
      sync: () => slowly('sync', path, () => node.sync()),
      truncate: size => step('truncate', path, () => node.truncate(size)),
      size: () => step('size', path, () => node.bytes.length),
      // Closing changes nothing that a crash could undo.
      close: async () => {},
    }
  }

  return {
    open: (path, how) =>
      step(`open (${how})`, path, () => {
        const { folder, name } = machine.folderOf(path)
        let node = folder.names.get(name)
        if (!node && (how === 'read' || how === 'output')) throw errno('ENOENT', path)
        if (node && how === 'newOutput') throw errno('EEXIST', path)
        if (node instanceof FolderNode) throw errno('EISDIR', path)
        if (!node) folder.change([name, (node = new FileNode())])
        else if (how === 'create') node.truncate(0)
        return opened(path, node)
      }),
    stat: path =>
      step('look at', path, () => {
        const node = machine.find(path)
        return node instanceof FileNode ? node.bytes.length : node && 'folder'
      }),
    readWhole: path =>
      step('read whole', path, () => {
        const bytes = machine.file(path)?.bytes
        return bytes && Buffer.from(bytes)
      }),
    async makeFolder(path) {
      const missing: string[] = []
      for (let at = path; !machine.find(at); at = dirname(at)) missing.unshift(at)
      for (const at of missing) {
        await step('make', at, () => {
          const { folder, name } = machine.folderOf(at)
          folder.change([name, new FolderNode()])
        })
      }
      return missing[0]
    },
    list: path => step('list', path, () => [...(machine.folder(path)?.names.keys() ?? [])]),
    rename: (from, to) =>
      step('rename', from, () => {
        const { folder, name } = machine.folderOf(from)
        const target = machine.folderOf(to)
        // A job renames within a folder only; across folders two syncs would be needed.
        if (target.folder !== folder) throw errno('EXDEV', to)
        folder.change([target.name, folder.names.get(name)], [name, undefined])
      }),
    remove: path =>
      step('remove', path, () => {
        const { folder, name } = machine.folderOf(path)
        if (folder.names.has(name)) folder.change([name, undefined])
      }),
    syncFolder: path =>
      step('sync folder', path, () => {
        const folder = machine.folder(path)
        if (!folder) throw errno('ENOENT', path)
        folder.sync()
      }),
    free: async () => 10 ** 12,
  }
}

function attempt<T>(what: string, path: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw wrapError('CBS_DISK', `cannot ${what} ${path}`, cause)
  }
}
