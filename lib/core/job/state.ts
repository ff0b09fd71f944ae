import { BatchStreamError, messageOf } from '../errors.ts'
import type { SizedShard } from '../shard.ts'
import type { Armed, Counts, JobEvent, Moment, Sealed } from './event.ts'

/** The phase of a batch. `void`: replaced by others, or nothing to send. */
export type Phase = 'sealed' | 'armed' | 'submitted' | 'ended' | 'fetched' | 'written' | 'void'

const SENT: readonly Phase[] = ['armed', 'submitted', 'ended', 'fetched', 'written']

const ADOPTABLE: readonly Phase[] = ['sealed', 'armed', 'submitted', 'ended']

/** A batch as the journal describes it. Times are in ms since 1970. */
export interface BatchState extends Sealed {
  /** How far it is. */
  readonly phase: Phase
  /** The batch that this one was split from, directly or not; its own number if it was not split. */
  readonly root: number
  /** The amount reserved for it under a spending cap, in femtodollars; absent without a cap. */
  readonly reserved?: string
  /** When its last byte could be sent; null before that. */
  readonly armed: Armed | null
  /**
   * Batches of the API that may be this one. `named`: the user was asked about it. `ruledOut`: it is another one. `replaced`:
   * the same, and this batch has been sent again since.
   */
  readonly candidates: Readonly<Record<string, 'open' | 'named' | 'ruledOut' | 'replaced'>>
  /** Whether a run has ended because only the user can decide whether the API has it; absent if not. */
  readonly asked?: boolean
  /** How its creates have failed for no stated reason; absent if none has. */
  readonly failed?: {
    /** How many creates have failed. */
    readonly times: number
    /** How many of them were sent after the API had accepted another batch since the failures began. */
    readonly apart: number
    /** When the first one had failed. */
    readonly since: number
  }
  /** The API's id; null until it is submitted. */
  readonly id: string | null
  /** The origin of the API that has it, and its betas; absent where they are not known. */
  readonly answeredBy?: string
  /** When the API created it, by the API; absent where that is not known. */
  readonly createdAt?: number
  /** When its first id was known. */
  readonly submittedAt: number | null
  /** When its end was observed. */
  readonly endedAt: number | null
  /** Since when the API replies that it does not know the batch; null or absent while it knows it. */
  readonly missingSince?: Moment | null
  /** How its requests ended; null until the batch has ended. */
  readonly counts: Counts | null
  /** Where the API has its results; null until the batch has ended. */
  readonly resultsUrl: string | null
  /** Whether a part of its result set is on disk while the set is downloaded again, because it ended early. */
  readonly partlyFetched?: boolean
  /** Size of the stored result set; null until it is fetched. */
  readonly fetched: {
    /** Result lines. */
    readonly lines: number
    /** Bytes. */
    readonly bytes: number
    /** Why some requests have no line; null if each has one. */
    readonly why: string | null
  } | null
  /** Rows are emitted in the order in which sets were fetched, so that a replay repeats the first run. */
  readonly fetchOrder: number | null
}

/** Records up to a count, and their hash for when they are read again. */
export interface RecordSpan {
  /** The count up to which the span goes. */
  readonly records: number
  /** SHA-256, in hex, of the records since the span before. */
  readonly hash: string
}

/** The state of a job: what its journal adds up to. Times are in ms since 1970, sizes in bytes. */
export interface JobState {
  /** The random prefix of the job's custom_ids. */
  readonly run: string
  /** When the job was created. */
  readonly openedAt: number
  /** The job's part of the input; null for the whole input. */
  readonly shard: SizedShard | null
  /** Identifies the command that created it; null for a job of the library. */
  readonly command: string | null
  /** The API workspace of its batches; null until a reply has named it. */
  readonly workspace: string | null
  /** A digest of the options that determine its requests; null until a template was compared. */
  readonly templateDigest: string | null
  /** The files that records come from, by index. */
  readonly sources: readonly string[]
  /** The input so far. */
  readonly spooled: {
    /** Records that are safe on disk. */
    readonly records: number
    /** Their size. */
    readonly bytes: number
    /** Whether the input has ended. */
    readonly complete: boolean
    /** Why the input ended early; reported after the last row. */
    readonly broken: string | null
  }
  /** A hash of the whole input of a shard; null until it has ended, and for other jobs. */
  readonly inputHash: string | null
  /** With a ledger: a hash of the records up to each of these counts, since the previous count. */
  readonly spans: readonly RecordSpan[]
  /** All batches by number, including those that were split. */
  readonly batches: ReadonlyMap<number, BatchState>
  /** The output files, and the size of each that a commit covers. */
  readonly output: {
    /** The paths of the files; null for a stream, or if there is none. */
    readonly files: {
      /** The file of rows. */
      readonly out: string | null
      /** The file of failed rows. */
      readonly errors: string | null
    }
    /** Identifies these files among others of the same names; null if unknown. */
    readonly ids: {
      /** The id of the file of rows. */
      readonly out: string | null
      /** The id of the file of failed rows. */
      readonly errors: string | null
    }
    /** Size of the file of rows. */
    readonly out: number
    /** Size of the file of failed rows. */
    readonly errors: number
    /** All records below this ordinal have their row there; 0 if rows are not in input order. */
    readonly below: number
    /** SHA-256 of the last bytes that the commit covers. */
    readonly outTail: string | null
    /** The same for the file of failed rows. */
    readonly errorsTail: string | null
    /** Whether a retry has changed rows since they were written. */
    readonly isStale: boolean
  }
  /** The input columns of a table, once decided. */
  readonly columns: readonly string[] | null
  /** How many result sets were fetched. */
  readonly fetches: number
  /** Whether the user was warned that the canary failed. */
  readonly warned: boolean
  /** Whether every record has its row. */
  readonly finished: boolean
}

/** The version of the journal's format; any other one is rejected. */
export const VERSION = 5

/** Folds a journal's events into a state. */
export function fold(events: Iterable<JobEvent>): JobState | undefined {
  let state: JobState | undefined
  for (const event of events) state = apply(state, event)
  return state
}

/** The changes of one event; `commit` applies them. */
export interface Change {
  readonly state: JobState
  /** New and changed batches. */
  readonly batches: readonly BatchState[]
  /** A file that records come from, when first seen. */
  readonly source?: string
  /** The records spooled since the previous span. */
  readonly span?: RecordSpan
}

/**
 * One step of the fold.
 * @throws BatchStreamError `CBS_STATE` if the event cannot follow the state
 */
export function apply(state: JobState | undefined, event: JobEvent): JobState {
  try {
    return commit(step(state, event))
  } catch (cause) {
    if (cause instanceof BatchStreamError) throw cause
    throw new BatchStreamError(
      'CBS_STATE',
      `the job's journal is damaged: ${messageOf(cause)}; see \`claude-batch-stream doctor\``,
    )
  }
}

/**
 * Computes the changes of an event.
 * @throws Error that says why the event cannot follow this state
 */
export function step(state: JobState | undefined, event: JobEvent): Change {
  if (event.type === 'opened') return opened(state, event)
  if (!state) throw new Error(`it begins with "${event.type}"`)
  switch (event.type) {
    case 'workspace':
      return changed(state, { workspace: event.id })
    case 'template':
      return changed(state, { templateDigest: event.digest })
    case 'source':
      return { state, batches: [], source: event.name }
    case 'spooled': {
      const { records, bytes, complete, broken = state.spooled.broken, hash } = event
      const { inputHash = state.inputHash } = event
      return {
        ...changed(state, { spooled: { records, bytes, complete, broken }, inputHash }),
        ...(hash !== undefined && { span: { records, hash } }),
      }
    }
    case 'sealed':
      // A finished job gets no batches but those of a retry.
      return withBatches({ state: state.finished ? stale(state) : state, batches: [] }, [event])
    case 'split':
      return withBatches(
        move(state, event.number, ['sealed', 'armed'], { phase: 'void' }),
        event.into,
        state.batches.get(event.number)?.root,
      )
    case 'reserved':
      return move(state, event.number, ['sealed'], { reserved: event.amount })
    case 'warned':
      return changed(state, { warned: true })
    case 'armed':
      return move(state, event.number, ['sealed'], {
        phase: 'armed',
        armed: {
          ...{ at: event.at, serverAt: event.serverAt },
          ...(event.by !== undefined && { by: event.by }),
        },
        asked: false,
        candidates: ruledOutOf(state.batches.get(event.number), 'replaced'),
      })
    case 'disarmed':
      return move(state, event.number, ['armed'], {
        phase: 'sealed',
        armed: null,
        asked: false,
        candidates: ruledOutOf(state.batches.get(event.number), 'ruledOut'),
      })
    case 'failed':
      return move(state, event.number, ['sealed', 'armed'], {
        failed: failedAgain(state, event),
      })
    case 'candidate':
      return candidate(state, event, event.named ? 'named' : 'open')
    case 'asked':
      return move(state, event.number, SENT, { asked: true })
    case 'ruledOut':
      return candidate(state, event, 'ruledOut')
    case 'submitted':
      // An adopted batch may replace an id that the API does not know, or that is another batch's.
      return move(state, event.number, event.adopted ? ADOPTABLE : ['sealed', 'armed'], {
        phase: 'submitted',
        id: event.id,
        asked: false,
        ...(event.workspace !== undefined && { armed: armedIn(state, event) }),
        submittedAt: state.batches.get(event.number)?.submittedAt ?? event.at,
        ...{ endedAt: null, counts: null, resultsUrl: null },
        ...{ partlyFetched: false, missingSince: null },
        ...(event.createdAt !== undefined && { createdAt: event.createdAt }),
        ...(event.answeredBy !== undefined && { answeredBy: event.answeredBy }),
      })
    case 'missing':
      return move(state, event.number, ['submitted'], { missingSince: event.since })
    case 'ended':
      return move(state, event.number, ['submitted', 'armed'], {
        phase: 'ended',
        endedAt: event.at,
        counts: event.counts,
        resultsUrl: event.resultsUrl,
      })
    case 'partlyFetched':
      return move(state, event.number, ['ended'], { partlyFetched: true })
    case 'fetched':
      return fetched(state, event)
    case 'refetched': {
      const { lines, bytes, why } = event
      const change = { fetched: { lines, bytes, why } }
      return { ...move(state, event.number, ['fetched', 'written'], change), state: stale(state) }
    }
    case 'output':
      return anewInto(state, event)
    case 'outputIds': {
      const { out, errors } = event
      return changed(state, { output: { ...state.output, ids: { out, errors } } })
    }
    case 'written':
      return {
        ...move(state, event.number, ['fetched'], { phase: 'written' }),
        state: committed(state, event, state.output.below),
      }
    case 'writtenBelow':
      if (event.below < state.output.below)
        throw new Error(`it takes back rows below ${state.output.below}`)
      return { state: committed(state, event, event.below), batches: [] }
    case 'columns':
      return changed(state, { columns: event.names })
    case 'finished':
      return changed(state, { finished: true })
  }
}

/**
 * Applies a change. The map of batches and the lists are shared between states and only grow: copying them for each event
 * would be quadratic.
 */
export function commit({ state, batches, source, span }: Change): JobState {
  // The fold owns all three, and nothing else mutates them.
  for (const batch of batches) (state.batches as Map<number, BatchState>).set(batch.number, batch)
  if (source !== undefined) (state.sources as string[]).push(source)
  if (span) (state.spans as RecordSpan[]).push(span)
  return state
}

function opened(state: JobState | undefined, event: JobEvent & { type: 'opened' }): Change {
  if (state) throw new Error('it is opened twice')
  if (event.version !== VERSION) {
    const whose = event.version > VERSION ? 'a newer' : 'an older'
    throw new BatchStreamError(
      'CBS_STATE',
      `the job was written by ${whose} version of this program (format ${event.version}; this one reads format ${VERSION}): use that version to finish the job`,
    )
  }
  const first: JobState = {
    run: event.run,
    openedAt: event.at,
    shard: event.shard ?? null,
    command: event.command ?? null,
    workspace: null,
    templateDigest: null,
    sources: [],
    spooled: { records: 0, bytes: 0, complete: false, broken: null },
    inputHash: null,
    spans: [],
    batches: new Map(),
    output: {
      files: { out: null, errors: null },
      ids: { out: null, errors: null },
      out: 0,
      errors: 0,
      below: 0,
      outTail: null,
      errorsTail: null,
      isStale: false,
    },
    columns: null,
    fetches: 0,
    warned: false,
    finished: false,
  }
  return { state: first, batches: [] }
}

function sealed(part: Sealed): BatchState {
  const { number, attempt, next, first, records, requests, bytes, hash, sums } = part
  const { foreign, primes, isolated, reused } = part
  return {
    ...{ number, attempt, next, records, requests, bytes, hash },
    ...(first !== undefined && { first }),
    ...(sums && { sums }),
    ...(foreign && { foreign }),
    ...(primes && { primes }),
    ...(isolated && { isolated }),
    ...(reused && { reused }),
    root: number,
    phase: 'sealed',
    armed: null,
    candidates: {},
    id: null,
    submittedAt: null,
    endedAt: null,
    counts: null,
    resultsUrl: null,
    fetched: null,
    fetchOrder: null,
  }
}

/** Rows that were written may be old from now on, so the next run writes all of them again. */
function stale(state: JobState): JobState {
  return { ...state, output: { ...state.output, isStale: true } }
}

function committed(
  state: JobState,
  { out, errors, outTail, errorsTail }: JobEvent & { type: 'written' | 'writtenBelow' },
  below: number,
): JobState {
  const tails = { outTail: outTail ?? null, errorsTail: errorsTail ?? null }
  return { ...state, output: { ...state.output, out, errors, below, ...tails } }
}

/** A new output is written from its first row, so no batch counts as written. */
function anewInto(state: JobState, { out, errors }: JobEvent & { type: 'output' }): Change {
  const { files, ids } = state.output
  const written = [...state.batches.values()].filter(({ phase }) => phase === 'written')
  return {
    state: {
      ...state,
      output: {
        files: { out, errors },
        // A file that starts again is still the job's own.
        ids: {
          out: out === files.out ? ids.out : null,
          errors: errors === files.errors ? ids.errors : null,
        },
        ...{ out: 0, errors: 0, below: 0, outTail: null, errorsTail: null, isStale: false },
      },
    },
    batches: written.map(batch => ({ ...batch, phase: 'fetched' })),
  }
}

function fetched(state: JobState, event: JobEvent & { type: 'fetched' }): Change {
  const { batches } = move(state, event.number, ['sealed', 'submitted', 'ended'], {
    phase: 'fetched',
    fetched: { lines: event.lines, bytes: event.bytes, why: event.why },
    fetchOrder: state.fetches,
  })
  return { state: { ...state, fetches: state.fetches + 1 }, batches }
}

function candidate(
  state: JobState,
  event: { readonly number: number; readonly id: string },
  is: BatchState['candidates'][string],
): Change {
  const candidates = { ...state.batches.get(event.number)?.candidates, [event.id]: is }
  return move(state, event.number, ['armed', 'submitted', 'ended'], { candidates })
}

/** Batches of the API that may be this one. */
export function openCandidates({ candidates }: Pick<BatchState, 'candidates'>): string[] {
  return Object.keys(candidates).filter(id => !isRuledOut(candidates[id]))
}

/** Whether a candidate is another batch. */
export function isRuledOut(is: BatchState['candidates'][string] | undefined): boolean {
  return is === 'ruledOut' || is === 'replaced'
}

/** Where a batch was sent, if its reply has shown that it is in another workspace than the job's other batches. */
function armedIn(
  state: JobState,
  { number, workspace }: JobEvent & { type: 'submitted' },
): Armed | null {
  const armed = state.batches.get(number)?.armed
  return armed?.by && workspace ? { ...armed, by: { ...armed.by, workspace } } : (armed ?? null)
}

/** Whether some answers of a batch will never arrive. */
export function isShort({ fetched }: Pick<BatchState, 'fetched'>): boolean {
  return fetched !== null && fetched.why !== null
}

/** Whether a batch of the job is one of those. */
export function lacksAnswers({ batches }: Pick<JobState, 'batches'>): boolean {
  return [...batches.values()].some(batch => batch.phase !== 'void' && isShort(batch))
}

/** Whether a job has batches in a workspace of the API. */
export function hasBatchesIn({ batches }: JobState, workspace: string): boolean {
  return [...batches.values()].some(({ armed }) => armed?.by?.workspace === workspace)
}

/** Whether a gateway has created some batches of a job in another workspace than the others. */
export function isInSeveralWorkspaces({ batches, workspace }: JobState): boolean {
  return [...batches.values()].some(
    ({ armed }) => (armed?.by?.workspace ?? workspace) !== workspace,
  )
}

function failedAgain(
  { batches }: JobState,
  { number, sentAt, at }: JobEvent & { type: 'failed' },
): NonNullable<BatchState['failed']> {
  const batch = batches.get(number)
  const { times, apart, since } = batch?.failed ?? { times: 0, apart: 0, since: at }
  // A batch that was halved had failed before its halves.
  const began = [...batches.values()].reduce(
    (first, one) =>
      one.root === batch?.root ? Math.min(first, one.failed?.since ?? first) : first,
    since,
  )
  const isApart = [...batches.values()].some(
    ({ submittedAt }) => submittedAt !== null && submittedAt > began && submittedAt < sentAt,
  )
  return { times: times + 1, apart: apart + (isApart ? 1 : 0), since }
}

/** A batch of the API that is not this one is not the one that is sent next, either. */
function ruledOutOf(
  batch: BatchState | undefined,
  is: 'ruledOut' | 'replaced',
): BatchState['candidates'] {
  const candidates = Object.entries(batch?.candidates ?? {})
  return Object.fromEntries(candidates.filter(([, was]) => isRuledOut(was)).map(([id]) => [id, is]))
}

function changed(state: JobState, change: Partial<JobState>): Change {
  return { state: { ...state, ...change }, batches: [] }
}

function withBatches({ state, batches }: Change, parts: readonly Sealed[], root?: number): Change {
  const all = [...batches]
  for (const part of parts) {
    if (state.batches.has(part.number) || all.some(({ number }) => number === part.number))
      throw new Error(`it seals batch ${part.number} twice`)
    all.push({ ...sealed(part), ...(root !== undefined && { root }) })
  }
  return { state, batches: all }
}

function move(
  state: JobState,
  number: number,
  from: readonly Phase[],
  change: Partial<BatchState>,
): Change {
  const batch = state.batches.get(number)
  if (!batch || !from.includes(batch.phase))
    throw new Error(`it moves batch ${number} from ${batch?.phase ?? 'nowhere'} to ${change.phase}`)
  return { state, batches: [{ ...batch, ...change }] }
}

/** The first record that is in no batch yet. */
export function nextUnbatched({ batches }: Pick<JobState, 'batches'>): number {
  let next = 0
  for (const batch of batches.values()) {
    if (batch.attempt === 1 && batch.phase !== 'void') next = Math.max(next, batch.next)
  }
  return next
}

/**
 * Gaps of unbatched records before the end of the last batch: the records of sealed batches whose bodies were lost with their disk.
 * Pairs of the first ordinal and the one after the last.
 */
export function unbatchedGaps({
  batches,
}: Pick<JobState, 'batches'>): (readonly [from: number, to: number])[] {
  const first = [...batches.values()].filter(
    ({ attempt, phase, foreign }) => attempt === 1 && phase !== 'void' && !foreign,
  )
  first.sort((a, b) => (a.first ?? 0) - (b.first ?? 0))
  const gaps: (readonly [number, number])[] = []
  let next = 0
  for (const { first: from = 0, records } of first) {
    if (records === 0) continue
    if (from > next) gaps.push([next, from])
    next = Math.max(next, from + records)
  }
  // Each part of a split batch ends where the whole batch did, so a lost last part leaves a gap behind the others.
  const end = nextUnbatched({ batches })
  if (next < end) gaps.push([next, end])
  return gaps
}
