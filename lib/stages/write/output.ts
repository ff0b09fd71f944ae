// takes  Result
// gives  nothing: rows are in the output, exactly once
// next   nothing
import { basename, dirname, join, resolve } from 'node:path'
import { Writable } from 'node:stream'
import { BatchStreamError, wrapError } from '../../core/errors.ts'
import type { Disk, FileKind } from '../../store/disk.ts'
import type { JobEvent } from '../../core/job/event.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Result } from '../../core/results/result.ts'
import { ResultPage, type CountedResult } from '../../core/results/result-page.ts'
import { takePages } from '../../core/pages.ts'
import type { PageRowsOf } from './page-rows.ts'
import {
  existingMessage,
  FileTarget,
  NOTHING_COMMITTED,
  type Committed,
  type CutBytes,
  type OutputName,
  type ResultTarget,
  type Target,
} from './target.ts'

/** Makes the bytes of rows. */
export interface RowWriter {
  /** Returns undefined for a result without a row. */
  readonly rowOf: (result: Result) => Buffer | undefined
  /** Makes the rows of a page. @default `rowOf` for each result */
  readonly pageOf?: PageRowsOf | undefined
  /** Written before the first row, or alone if there is none. */
  readonly header?: Buffer | undefined
}

/** A writer that is created later, for example when the input has determined the columns of a table. Rows wait for it. */
export interface LateRowWriter {
  /** Resolves when rows can be written; rejects when the signal aborts. */
  open(signal: AbortSignal): Promise<RowWriter>
  /** Called after the last row: `open` must settle now. */
  end(): void
}

export interface OutputOptions {
  readonly job: StoredJob
  /** Where rows go: a file, or a stream, which gets all rows again in each run. */
  readonly out: { readonly path: string } | Target | ResultTarget
  /** The file that failed rows go to instead. */
  readonly errors?: { readonly path: string } | undefined
  readonly rows: RowWriter | LateRowWriter
  /** The row of a failed result in the file of errors. */
  readonly errorRowOf: (result: Result) => Buffer
  /**
   * Whether the output is independent of the job, as for `results`: the job's own files do not change, the files must be new,
   * and they are removed on failure, since everything can be written again.
   * @default false
   */
  readonly detached?: boolean
  /**
   * Whether results arrive in input order regardless of batches. Commits then name the record up to which rows are written.
   * @default false
   */
  readonly ordered?: boolean
  /** Called for each result, whether its row was written now or by an earlier run. */
  readonly onResult?: (result: CountedResult) => void
  /** Called if bytes after the last commit of a file, which may be those of another program, were moved to a file beside it. */
  readonly onCut?: (cut: CutBytes) => void
}

/** The maximum number of rows between commits in input order, where batch ends may be far apart. */
const MAX_UNCOMMITTED = 10_000

/**
 * Writes rows exactly once. A file is committed at the end of each batch: it is synced, then the commit is journaled, then the
 * next batch begins. A resumed run truncates the file to the last commit. Fails with `CBS_OUTPUT` if the file belongs to
 * something else or was changed.
 */
export async function openOutput(options: OutputOptions): Promise<Output> {
  const { job, out, errors, detached = false } = options
  const paths = {
    out: 'path' in out ? resolve(out.path) : null,
    errors: errors ? resolve(errors.path) : null,
  }
  if (
    paths.out !== null &&
    paths.errors !== null &&
    (await isSamePath(job, paths.out, paths.errors))
  )
    throw sameFileError(paths.errors)
  let committed = detached ? await claimNewFiles(job, paths) : await claimFiles(job, paths)
  let files = await openFiles(options, paths, committed)
  if (!detached && paths.out !== null && job.state.output.isStale) {
    // The files are this job's, as opening them has shown, so they can start again.
    await closeFiles(files)
    committed = await startAgain(job, paths)
    files = await openFiles(options, paths, committed)
  }
  return new Output(options, {
    // A path was opened above.
    out: 'path' in out ? (files.out as FileTarget) : out,
    ...{ errors: files.errors, paths, committed: committed.out.bytes },
  })
}

interface OpenFiles {
  readonly out?: FileTarget
  readonly errors?: FileTarget
}

/** The files, and the options that name them. */
const FILES = [
  ['out', 'output'],
  ['errors', 'errors'],
] as const

/** Opens the output files, truncated to their last commit. */
async function openFiles(
  { job, detached = false, onCut }: OutputOptions,
  paths: Paths,
  committed: BothCommitted,
): Promise<OpenFiles> {
  const advice = detached
    ? 'give the same command with another file'
    : `\`claude-batch-stream resume ${job.name} -o FILE\` writes all rows to another file`
  const files: { out?: FileTarget; errors?: FileTarget } = {}
  try {
    for (const [name, option] of FILES) {
      const path = paths[name]
      if (path === null) continue
      files[name] = await FileTarget.open({
        disk: job.store.disk,
        path,
        option,
        mark: detached ? undefined : `${job.store.folder}/${option}.end`,
        committed: committed[name],
        knownId: job.state.output.ids[name],
        advice,
        onCut,
        assertOwned: job.shared && !detached ? job.assertOwned : undefined,
      })
      // Committed rows must not be lost with the file's name.
      if (committed[name].bytes === 0) await job.store.disk.syncFolder(dirname(path))
    }
    const { out, errors } = files
    // Two names may be links to one file.
    if (errors?.identity !== undefined && errors.identity === out?.identity)
      throw sameFileError(paths.errors)
    if (!detached) await noteIds(job, out, errors)
    return files
  } catch (cause) {
    await closeFiles(files)
    await files.out?.removeIfNew()
    await files.errors?.removeIfNew()
    throw cause
  }
}

async function closeFiles({ out, errors }: OpenFiles): Promise<void> {
  await out?.close()
  await errors?.close()
}

/** Journals the identities of the files before a row is written to them. */
async function noteIds(
  job: StoredJob,
  outFile: FileTarget | undefined,
  errorFile: FileTarget | undefined,
): Promise<void> {
  const known = job.state.output.ids
  const ids = { out: outFile?.persistentId ?? null, errors: errorFile?.persistentId ?? null }
  if (ids.out !== known.out || ids.errors !== known.errors)
    await job.note({ type: 'outputIds', ...ids }, true)
}

/** Whether two paths are the same, also through links between folders. Checked before a file is created. */
async function isSamePath(
  { store: { disk } }: StoredJob,
  one: string,
  other: string,
): Promise<boolean> {
  if (basename(one) !== basename(other)) return false
  const folders = await Promise.all([one, other].map(path => disk.identityOf?.(dirname(path))))
  return folders[0] !== undefined && folders[0] === folders[1]
}

function sameFileError(errors: string | null): BatchStreamError {
  return new BatchStreamError(
    'CBS_OUTPUT',
    `\`output\` and \`errors\` are the same file (${errors}): choose two different files`,
  )
}

interface Opened {
  readonly out: Target | ResultTarget
  readonly errors: Target | undefined
  readonly paths: Paths
  /** Bytes of `out` that an earlier run committed. */
  readonly committed: number
}

/** Checks that both files are new, for output that is independent of the job. */
async function claimNewFiles(job: StoredJob, { out, errors }: Paths): Promise<BothCommitted> {
  await assertNew(job, out, 'output')
  await assertNew(job, errors, 'errors')
  return NEITHER
}

/** The commits of both files. */
interface BothCommitted {
  readonly out: Committed
  readonly errors: Committed
}

const NEITHER: BothCommitted = { out: NOTHING_COMMITTED, errors: NOTHING_COMMITTED }

async function assertNew(job: StoredJob, path: string | null, option: OutputName): Promise<void> {
  if (path !== null) await checkNewOutput(job.store.disk, path, option)
}

/** Checks, before anything is created or sent, that an output file does not exist and its folder does. */
export async function checkNewOutput(
  disk: Pick<Disk, 'stat'>,
  path: string,
  option: OutputName,
): Promise<void> {
  const found = await disk.stat(path)
  if (found !== undefined) throw existingOutputError(path, { found, option })
  const folder = dirname(path)
  const why =
    (await disk.stat(folder)) !== 'folder'
      ? `${folder} is not a folder; create it, or choose another file`
      : (await isOfJob(disk, folder)) || (await isOfJob(disk, dirname(folder)))
        ? 'it would be deleted with the job in whose folder it is; choose another file'
        : undefined
  if (why !== undefined)
    throw new BatchStreamError('CBS_OUTPUT', `cannot write ${path}: ${why}`, {
      option,
      place: { source: path },
    })
}

/** Whether a folder is that of a job. */
async function isOfJob(disk: Pick<Disk, 'stat'>, folder: string): Promise<boolean> {
  if (basename(dirname(folder)) !== 'jobs') return false
  return (await disk.stat(join(folder, 'lock'))) !== undefined
}

interface Paths {
  readonly out: string | null
  readonly errors: string | null
}

/** Determines which bytes of the files are this job's. A file is journaled before it is created, so that none is orphaned. */
async function claimFiles(job: StoredJob, paths: Paths): Promise<BothCommitted> {
  const { files, out, errors, outTail, errorsTail } = job.state.output
  const same = files.out === paths.out && files.errors === paths.errors
  if (paths.out !== files.out) await assertNew(job, paths.out, 'output')
  if (paths.errors !== files.errors) await assertNew(job, paths.errors, 'errors')
  // A stream gets all rows again, so its errors file starts again too.
  if (same && paths.out !== null && !(job.shared && (await isMissing(job, paths.out))))
    return { out: { bytes: out, tail: outTail }, errors: { bytes: errors, tail: errorsTail } }
  // So does a file that was on another machine.
  return !same || paths.errors !== null || paths.out !== null
    ? await startAgain(job, paths)
    : NEITHER
}

/** Journals that the files have no rows. */
async function startAgain(job: StoredJob, paths: Paths): Promise<BothCommitted> {
  await job.note({ type: 'output', ...paths }, true)
  return NEITHER
}

async function isMissing(job: StoredJob, path: string): Promise<boolean> {
  return (await job.store.disk.stat(path)) === undefined
}

/** The end of the pipeline. `rows` counts results, including those whose row an earlier run wrote. */
export class Output extends Writable {
  readonly #options: OutputOptions
  readonly #out: Target | ResultTarget
  readonly #errors: Target | undefined
  readonly #commits: boolean
  readonly #stop = new AbortController()
  readonly #opening: Promise<void>
  #writer: RowWriter | undefined
  #batch: number | undefined
  /**
   * In input order: the rows of all records below this ordinal were written. NaN once a result is missing, because a later
   * commit would claim that its row is written.
   */
  #writtenBelow = 0
  #uncommitted = 0
  rows = 0

  constructor(options: OutputOptions, { out, errors, paths, committed }: Opened) {
    super({ objectMode: true })
    takePages(this)
    this.#options = options
    this.#out = out
    this.#errors = errors
    this.#commits = paths.out !== null && !options.detached
    this.#opening = this.#open(options.rows, committed)
    this.#opening.catch(cause => this.destroy(wrapError('CBS_DISK', 'cannot write a row', cause)))
  }

  override _write(
    result: Result | ResultPage,
    encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    if (!this.#writer) {
      // If it fails, the stream is already destroyed.
      this.#opening.then(() => this._write(result, encoding, done), done)
      return
    }
    if (result instanceof ResultPage) return this.#finish(this.#writePage(result), done)
    const { isNew, isDue } = this.#commitsAt(result)
    if (!isNew && !isDue) {
      let written
      try {
        written = this.#put(result)
      } catch (cause) {
        // A row that cannot be written (other columns, for example) must end the stream, not the process.
        return done(wrapError('CBS_DISK', 'cannot write a row', cause))
      }
      return written ? this.#finish(written, done) : done()
    }
    const both = async (): Promise<void> => {
      if (isNew) await this.#commit()
      await this.#put(result)
      if (isDue) await this.#commit()
    }
    this.#finish(both(), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    const { rows } = this.#options
    if ('end' in rows) rows.end()
    this.#finish(
      this.#opening.then(async () => {
        await this.#commit()
        if ('end' in this.#out) await this.#out.end()
      }),
      done,
    )
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stop.abort()
    const leave = async (): Promise<void> => {
      await this.#out.close()
      await this.#errors?.close()
      if (error && this.#options.detached) await this.removeNew()
    }
    leave().then(
      () => done(error),
      cause => done(error ?? cause),
    )
  }

  /** Removes the files that this run created, when nothing is left of the job. */
  async removeNew(): Promise<void> {
    for (const target of [this.#out, this.#errors])
      if (target instanceof FileTarget) await target.removeIfNew()
  }

  async #open(rows: RowWriter | LateRowWriter, committed: number): Promise<void> {
    const writer = 'open' in rows ? await rows.open(this.#stop.signal) : rows
    if (writer.header && committed === 0) await this.#writeRow(writer.header)
    this.#writer = writer
  }

  #finish(work: Promise<void>, done: (error?: Error | null) => void): void {
    work.then(
      () => done(),
      cause => done(wrapError('CBS_DISK', 'cannot write a row', cause)),
    )
  }

  /** Writes a page at once if all its rows are new and go to the same file; otherwise row by row. */
  async #writePage(page: ResultPage): Promise<void> {
    const { ordered, errors, onResult } = this.#options
    const { state } = this.#options.job
    const { batch, count, ordinal, last } = page
    const rowsOf = this.#writer?.pageOf
    const isSplit = errors !== undefined && !page.isAllPlain
    const isWritten =
      this.#commits && (this.#isBatchWritten(batch.number) || ordinal < state.output.below)
    if (!rowsOf || isSplit || isWritten || ordered) return await this.#writeEach(page)
    if (this.#batch !== undefined && this.#batch !== batch.number) await this.#commit()
    this.#batch = batch.number
    this.rows += count
    this.#writtenBelow = ordinal === this.#writtenBelow ? ordinal + count : NaN
    for (let index = 0; index < count; index++) onResult?.(page.counted(index))
    const rows = rowsOf(page)
    if (Buffer.isBuffer(rows)) {
      page.release()
      await this.#writeRow(rows, true)
    } else for (const slice of rows) await this.#writeRow(slice)
    if (last) await this.#commit()
  }

  async #writeEach(page: ResultPage): Promise<void> {
    for (const result of page) {
      const { isNew, isDue } = this.#commitsAt(result)
      if (isNew) await this.#commit()
      await this.#put(result)
      if (isDue) await this.#commit()
    }
  }

  /** Whether to commit before a result, and after it. */
  #commitsAt({ batch: { number, attempt }, last }: Result): { isNew: boolean; isDue: boolean } {
    // Retried rows are mixed with those of other batches, so a change of batch means nothing.
    if (this.#options.ordered)
      return {
        isNew: false,
        isDue: (last && attempt === 1) || this.#uncommitted >= MAX_UNCOMMITTED,
      }
    return { isNew: number !== this.#batch && this.#batch !== undefined, isDue: last }
  }

  #put(result: Result): Promise<void> | undefined {
    const { errorRowOf, onResult } = this.#options
    this.#batch = result.batch.number
    this.rows += 1
    this.#uncommitted += 1
    this.#writtenBelow =
      result.record?.ordinal === this.#writtenBelow ? this.#writtenBelow + 1 : NaN
    onResult?.(result)
    if (this.#commits && this.#isWritten(result)) return undefined
    if (this.#errors && result.status !== 'succeeded') return this.#errors.write(errorRowOf(result))
    if ('put' in this.#out) return this.#out.put(result)
    const row = this.#writer?.rowOf(result)
    return row && this.#writeRow(row)
  }

  /** Only a `Target` gets rows. */
  #writeRow(bytes: Buffer, isReused?: boolean): Promise<void> | undefined {
    return (this.#out as Target).write(bytes, isReused)
  }

  /** Whether an earlier run committed the row, possibly in the other order. */
  #isWritten({ batch, record }: Result): boolean {
    const { job } = this.#options
    if (this.#isBatchWritten(batch.number)) return true
    // Committed rows belong to a job with spooled records.
    return (record?.ordinal as number) < job.state.output.below
  }

  #isBatchWritten(number: number): boolean {
    return this.#options.job.batch(number).phase === 'written'
  }

  async #commit(): Promise<void> {
    // Another worker may be writing to the same file by now.
    this.#options.job.assertOwned()
    const number = this.#batch
    this.#batch = undefined
    this.#uncommitted = 0
    if (number === undefined) {
      // Check the files once more before the job is finished.
      await this.#out.commit()
      await this.#errors?.commit()
      return
    }
    const { job } = this.#options
    const out = await this.#out.commit()
    const errors = (await this.#errors?.commit()) ?? NOTHING_COMMITTED
    const bytes = writtenBytes(out, errors)
    if (this.#commits && this.#options.ordered) {
      const below = this.#writtenBelow
      if (below > job.state.output.below)
        await job.note({ type: 'writtenBelow', below, ...bytes }, true)
    } else if (this.#commits && job.batch(number).phase !== 'written')
      await job.note({ type: 'written', number, ...bytes }, true)
    job.emit({ type: 'rows', number, rows: this.rows })
  }
}

/** The error for an output file that already exists. */
export function existingOutputError(
  path: string,
  {
    found,
    option = 'output',
  }: { readonly found?: FileKind | undefined; readonly option?: OutputName } = {},
): BatchStreamError {
  return new BatchStreamError(
    'CBS_OUTPUT',
    found === 'folder' ? `${path} is a folder: choose a file` : existingMessage(path),
    { option, place: { source: path } },
  )
}

function writtenBytes(out: Committed, errors: Committed): Omit<WrittenEvent, 'type' | 'number'> {
  return {
    ...{ out: out.bytes, errors: errors.bytes },
    ...(out.tail !== null && { outTail: out.tail }),
    ...(errors.tail !== null && { errorsTail: errors.tail }),
  }
}

type WrittenEvent = Extract<JobEvent, { readonly type: 'written' }>
