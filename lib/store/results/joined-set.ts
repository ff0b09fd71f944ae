import type { BatchState } from '../../core/job/state.ts'
import { AppendFile } from '../append-file.ts'
import { replaceFile, type DiskFile } from '../disk.ts'
import type { JobStore } from '../job-store.ts'
import { openStored } from '../sums.ts'
import { indexBytes, lineCount, type LineIndex } from './line-index.ts'
import { readIndex, ResultLines } from './lines.ts'
import { ResultFile } from './result-file.ts'

/**
 * The stored result set of a batch, to which later downloads are added. A line that was stored once stays, whatever later
 * downloads lack. Lines count once the index has them: it is replaced atomically after their bytes are synced, so that a crash
 * at any point loses none.
 */
export class JoinedSet {
  readonly #store: JobStore
  readonly #batch: Pick<BatchState, 'number' | 'requests'>
  readonly #what: 'part' | 'lines'
  #index: LineIndex | undefined
  /** The number of requests that have a line. */
  lines = 0
  /** The size of the set on disk. */
  bytes = 0

  private constructor(
    store: JobStore,
    batch: Pick<BatchState, 'number' | 'requests'>,
    what: 'part' | 'lines',
  ) {
    this.#store = store
    this.#batch = batch
    this.#what = what
  }

  /** An empty set, of which nothing is stored yet. */
  static empty(store: JobStore, batch: Pick<BatchState, 'number' | 'requests'>): JoinedSet {
    return new JoinedSet(store, batch, 'part')
  }

  /** Opens what is stored, according to the index `what`: `part` until the set is fetched, then `lines`. */
  static async open(
    store: JobStore,
    batch: Pick<BatchState, 'number' | 'requests'>,
    what: 'part' | 'lines',
  ): Promise<JoinedSet> {
    const set = new JoinedSet(store, batch, what)
    const bytes = await store.disk.readWhole(store.path(batch.number, what))
    if (bytes) await set.#take(readIndex(bytes, batch.number, batch.requests))
    return set
  }

  /**
   * Adds the lines of a downloaded set that are not stored yet. If it is complete, its lines also replace the stored ones, and
   * `publish` stores their index.
   */
  async add(downloaded: LineIndex, isComplete: boolean): Promise<void> {
    const { disk } = this.#store
    const { number } = this.#batch
    const path = this.#store.path(number, 'results')
    const download = this.#store.path(number, 'download')
    if (this.#index) {
      await this.#append(path, downloaded, isComplete)
      await disk.remove(download)
      return
    }
    await disk.rename(download, path)
    await this.#store.syncBatches()
    await this.#keep(downloaded, isComplete)
  }

  /** The stored lines. */
  async *read(): AsyncGenerator<Buffer> {
    if (!this.#index) return
    const { number, requests } = this.#batch
    const file = await openStored(this.#store.disk, this.#store.path(number, 'results'))
    try {
      const lines = new ResultLines(number, requests, this.#index, file)
      for (let position = 0; position < requests; position++) {
        const line = await lines.readOn(position)
        if (line) yield line
      }
    } finally {
      await file.close()
    }
  }

  /** Makes the set the one that rows are read from. */
  async publish(): Promise<void> {
    if (this.#index) await this.#write('lines', this.#index)
  }

  async #append(path: string, downloaded: LineIndex, isComplete: boolean): Promise<void> {
    const { number, requests } = this.#batch
    const { disk } = this.#store
    const target = await disk.open(path, 'update')
    let source: DiskFile | undefined
    try {
      source = await openStored(disk, this.#store.path(number, 'download'))
      const from = new ResultLines(number, requests, downloaded, source)
      const appended = new AppendFile(target, await target.size())
      const into = new ResultFile(appended, requests, isComplete ? undefined : this.#index)
      let added = 0
      for (let position = 0; position < requests; position++) {
        const line = into.has(position) ? null : await from.readOn(position)
        if (!line) continue
        into.addFrom(position, line, downloaded.entries)
        added += 1
        if (into.full) await into.flush()
      }
      if (added === 0) return
      await into.sync()
      await this.#keep(into.index, isComplete)
    } finally {
      await source?.close()
      await target.close()
    }
  }

  async #keep(index: LineIndex, isComplete: boolean): Promise<void> {
    if (!isComplete) await this.#write(this.#what, index)
    await this.#take(index)
  }

  async #write(what: 'part' | 'lines', index: LineIndex): Promise<void> {
    const { disk } = this.#store
    await replaceFile(disk, this.#store.path(this.#batch.number, what), indexBytes(index))
  }

  async #take(index: LineIndex): Promise<void> {
    const { disk } = this.#store
    this.#index = index
    this.lines = lineCount(index)
    this.bytes = Number(await disk.stat(this.#store.path(this.#batch.number, 'results')))
  }
}
