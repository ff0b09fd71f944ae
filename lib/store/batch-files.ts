import { createHash, type Hash } from 'node:crypto'
import type { Problem } from '../core/flow.ts'
import { AppendFile, type AppendTarget } from './append-file.ts'
import { batchPath, type BatchFile } from './batch-path.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { Sealed, SummedFile } from '../core/job/event.ts'
import { keyOf } from '../core/request-key.ts'
import type { RequestPage } from '../core/request-page.ts'
import { OrdinalWriter } from './ordinals.ts'
import { repeatEntry } from './repeats.ts'
import { ReusedWriter, type EarlierAnswer } from './reused.ts'
import { readSummed, summing, type BatchFiles, type SummedBatch } from './sums.ts'

const OPEN = Buffer.from('{"requests":[\n')
const BETWEEN = Buffer.from(',\n')
const CLOSE = Buffer.from('\n]}')

const HEAD = Buffer.from('{"custom_id":"')
const QUOTE = 0x22
/** The bytes between a custom_id and the params. */
const PARAMS = Buffer.from(',"params":')

/** Bytes in the body of a request that is part of a page. */
export function sizeInBody(page: RequestPage, index: number, customId: string): number {
  return HEAD.length + customId.length + 1 + page.sizeOf(index)
}

/** Bytes of a body around its requests, one of which is on each line. */
export const BODY_FRAME: {
  readonly open: Buffer
  readonly between: Buffer
  readonly close: Buffer
} = {
  open: OPEN,
  between: BETWEEN,
  close: CLOSE,
}
export const FRAME_BYTES: number = OPEN.length + CLOSE.length
export const BETWEEN_BYTES: number = BETWEEN.length

/** A record that a batch covers without a request, as a line of its `.rejected` file. */
export interface Rejection extends Problem {
  readonly ordinal: number
  readonly custom_id: string | null
}

/** The records of a batch that were rejected before it was sent, in input order. */
export async function rejectionsOf(files: BatchFiles, batch: SummedBatch): Promise<Rejection[]> {
  const text = (await readSummed(files, batch, 'rejected'))?.toString('utf8') ?? ''
  const rejections: Rejection[] = text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
  // A request rejected by the API is added when its batch is split, after records that were rejected earlier.
  return rejections.sort((a, b) => a.ordinal - b.ordinal)
}

/** The custom_ids that a user chose, with their positions in the body. */
export async function chosenIdsOf(
  files: BatchFiles,
  batch: SummedBatch,
): Promise<[id: string, position: number][]> {
  const bytes = await readSummed(files, batch, 'ids')
  const lines = bytes?.toString('utf8').split('\n').slice(0, -1) ?? []
  return lines.map(line => {
    const blank = line.indexOf(' ')
    return [line.slice(blank + 1), Number(line.slice(0, blank))]
  })
}

/** Which files a batch has besides those that every batch has. */
export interface ExtraFiles {
  /** The key of each request. */
  readonly keys?: boolean
  /** Records that share the answer of another. */
  readonly repeats?: boolean
  /** Where answers of earlier jobs may be reused: who gave those answers. */
  readonly reused?: string | undefined
}

/**
 * Writes the files of a batch while its requests arrive: the body exactly as it will be sent, the record of each request,
 * the rejected records and their reasons, and the ids that a user chose; with `ExtraFiles` also the key of each request, the
 * records that share the answer of another, and those that take the answer of an earlier job. It keeps nothing in memory.
 */
export class BatchWriter {
  readonly number: number
  readonly #body: AppendFile
  readonly #members: OrdinalWriter
  readonly #rejected: AppendFile
  readonly #ids: AppendFile
  readonly #repeats: AppendFile | undefined
  readonly #keys: AppendFile | undefined
  readonly #reused: ReusedWriter | undefined
  readonly #answeredBy: string
  readonly #extra: readonly AppendFile[]
  readonly #sums: ReadonlyMap<SummedFile, () => number>
  readonly #hash: Hash
  #requests = 0
  #records = 0
  #first = Infinity

  private constructor(
    number: number,
    { file: body, hash }: HashedFile,
    members: OrdinalWriter,
    rejected: AppendFile,
    ids: AppendFile,
    extra: {
      readonly repeats: AppendFile | undefined
      readonly keys: AppendFile | undefined
      readonly reused: ReusedWriter | undefined
      readonly answeredBy: string
    },
    sums: ReadonlyMap<SummedFile, () => number>,
  ) {
    this.number = number
    this.#sums = sums
    this.#body = body
    this.#hash = hash
    this.#members = members
    this.#rejected = rejected
    this.#ids = ids
    this.#repeats = extra.repeats
    this.#keys = extra.keys
    this.#reused = extra.reused
    this.#answeredBy = extra.answeredBy
    const files = [extra.repeats, extra.keys, ...(extra.reused?.files ?? [])]
    this.#extra = files.filter(file => file !== undefined)
    body.append(OPEN)
  }

  static async create(
    disk: Disk,
    folder: string,
    number: number,
    extra: ExtraFiles = {},
  ): Promise<BatchWriter> {
    const opened: AppendFile[] = []
    const open = async (what: BatchFile): Promise<DiskFile> =>
      await disk.open(batchPath(folder, number, what), 'create')
    const appending = (file: AppendTarget): AppendFile => {
      const appended = new AppendFile(file, 0)
      opened.push(appended)
      return appended
    }
    const sums = new Map<SummedFile, () => number>()
    const hash = createHash('sha256')
    const file = async (what: SummedFile): Promise<AppendFile> => {
      const { file, sum } = summing(await open(what))
      sums.set(what, sum)
      return appending(file)
    }
    try {
      return new BatchWriter(
        number,
        { file: appending(hashing(await open('body'), hash)), hash },
        new OrdinalWriter(await file('members')),
        await file('rejected'),
        await file('ids'),
        {
          repeats: extra.repeats ? await file('repeats') : undefined,
          keys: extra.keys ? await file('keys') : undefined,
          reused:
            extra.reused === undefined
              ? undefined
              : new ReusedWriter(await file('reused'), appending(await open('answers'))),
          answeredBy: extra.reused ?? '',
        },
        sums,
      )
    } catch (cause) {
      for (const file of opened) await file.close()
      throw cause
    }
  }

  get requests(): number {
    return this.#requests
  }

  /** Records covered, including rejected ones. */
  get records(): number {
    return this.#records
  }

  /** Size of the body if it were closed now. */
  get bytes(): number {
    return this.#body.size + CLOSE.length
  }

  /** Whether the caller should flush before it adds more. */
  get full(): boolean {
    // Asked for each request.
    if (this.#body.full || this.#rejected.full || this.#ids.full) return true
    return this.#extra.some(file => file.full)
  }

  /** Adds a request: its JSON, its record's ordinal, the custom_id if a user chose it, and its key. */
  add(json: Uint8Array, ordinal: number, chosenId: string | undefined, key?: Uint8Array): void {
    if (this.#requests > 0) this.#body.append(BETWEEN)
    this.#body.append(json)
    this.#members.append(ordinal)
    if (chosenId !== undefined) this.#ids.append(Buffer.from(`${this.#requests} ${chosenId}\n`))
    if (key) this.#keys?.append(key)
    this.#requests += 1
    this.#covers(ordinal)
  }

  /** Adds a request of a page, with a generated custom_id. */
  addOfPage(page: RequestPage, index: number, customId: string, ordinal: number): void {
    if (this.#requests > 0) this.#body.append(BETWEEN)
    let at = this.#body.reserve(sizeInBody(page, index, customId))
    const body = this.#body.gathering
    body.set(HEAD, at)
    at += HEAD.length
    // Such an id is ASCII without anything to escape.
    at += body.write(customId, at, 'latin1')
    body[at] = QUOTE
    page.write(index, body, at + 1)
    if (this.#keys) {
      const params = at + 1 + PARAMS.length
      this.#keys.append(keyOf(body.subarray(params, at + page.sizeOf(index))))
    }
    this.#members.append(ordinal)
    this.#requests += 1
    this.#covers(ordinal)
  }

  /** Covers a record that shares the answer of an earlier one. */
  repeat(ordinal: number, of: number): void {
    this.#repeats?.append(repeatEntry(ordinal, of))
    this.#covers(ordinal)
  }

  /** Covers a record whose request an earlier job has asked already, and keeps a copy of the answer. */
  reuse(ordinal: number, key: Uint8Array, answer: EarlierAnswer): void {
    this.#reused?.add(ordinal, key, answer)
    this.#covers(ordinal)
  }

  /** Covers a record without a request. */
  reject(rejection: Rejection): void {
    this.#rejected.append(Buffer.from(`${JSON.stringify(rejection)}\n`))
    this.#covers(rejection.ordinal)
  }

  #covers(ordinal: number): void {
    this.#records += 1
    this.#first = Math.min(this.#first, ordinal)
  }

  /** Writes buffered bytes, so that memory stays constant. */
  async flush(): Promise<void> {
    for (const file of this.#files) await file.flush()
  }

  /** Closes the body and syncs all files. `next` is the first ordinal that it does not cover. */
  async seal(attempt: number, next: number): Promise<Sealed> {
    this.#body.append(CLOSE)
    try {
      for (const file of this.#files) await file.sync()
    } finally {
      await this.abandon()
    }
    const { records = 0 } = this.#reused ?? {}
    return {
      number: this.number,
      attempt,
      next,
      first: this.#first,
      records: this.#records,
      requests: this.#requests,
      bytes: this.#body.size,
      hash: this.#hash.digest('hex'),
      sums: Object.fromEntries([...this.#sums].map(([what, sum]) => [what, sum()])),
      ...(records > 0 && { reused: { records, answeredBy: this.#answeredBy } }),
    }
  }

  /** Discards the batch. */
  async abandon(): Promise<void> {
    for (const file of this.#files) await file.close()
  }

  get #files(): readonly Pick<AppendFile, 'flush' | 'sync' | 'close'>[] {
    return [this.#body, this.#members, this.#rejected, this.#ids, ...this.#extra]
  }
}

/** A file and the hash of its content. */
interface HashedFile {
  readonly file: AppendFile
  readonly hash: Hash
}

/** Hashes an append-only file while it is written, many requests at a time. */
function hashing(file: DiskFile, hash: Hash): AppendTarget {
  const write = async (bytes: Uint8Array, position: number): Promise<void> => {
    hash.update(bytes)
    await file.write(bytes, position)
  }
  return { write, sync: () => file.sync(), close: () => file.close() }
}
