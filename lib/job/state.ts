import { BatchStreamError } from '../errors.ts'
import type { Counts, JobEvent, Sealed } from './event.ts'

/** How far a batch has come. `void`: replaced by others, or nothing to do for it. */
export type Phase = 'sealed' | 'armed' | 'submitted' | 'ended' | 'fetched' | 'written' | 'void'

export interface BatchState extends Sealed {
  readonly phase: Phase
  /** What a cap on spending keeps free for it, in femtodollars; absent where there was none. */
  readonly reserved?: string
  readonly armed: { readonly at: number; readonly serverAt: number | null } | null
  /** Batches of the API's that may be this one, by whether they are proven not to be. */
  readonly suspects: Readonly<Record<string, 'open' | 'cleared'>>
  readonly id: string | null
  readonly submittedAt: number | null
  /** When its end was seen. */
  readonly endedAt: number | null
  readonly counts: Counts | null
  readonly resultsUrl: string | null
  /** Size of the kept result set; null until it is fetched. */
  readonly fetched: {
    readonly lines: number
    readonly bytes: number
    readonly why: string | null
  } | null
  /** Rows are given in the order in which sets were fetched, so that a replay repeats a first run. */
  readonly fetchOrder: number | null
}

export interface JobState {
  readonly run: string
  readonly openedAt: number
  readonly workspace: string | null
  readonly sources: readonly string[]
  readonly kept: {
    readonly records: number
    readonly bytes: number
    readonly complete: boolean
    /** Why the input ended before its end, as whoever reads the last row has to be told. */
    readonly broken: string | null
  }
  readonly batches: ReadonlyMap<number, BatchState>
  /** The files that rows go to, and how many bytes of each a commit covers. */
  readonly output: {
    readonly files: { readonly out: string | null; readonly errors: string | null }
    readonly out: number
    readonly errors: number
  }
  readonly fetches: number
  /** Whether the user was told that the canary failed. */
  readonly warned: boolean
  readonly finished: boolean
}

/** The version of the journal's format; a higher one is refused. */
export const VERSION = 1

/** The state that a journal's events add up to. */
export function fold(events: Iterable<JobEvent>): JobState | undefined {
  let state: JobState | undefined
  for (const event of events) state = apply(state, event)
  return state
}

/** One step of the fold. An event that cannot follow what came before means that the journal is not ours. */
export function apply(state: JobState | undefined, event: JobEvent): JobState {
  if (event.type === 'opened') return opened(state, event)
  if (!state) throw damaged(`begins with "${event.type}"`)
  switch (event.type) {
    case 'workspace':
      return { ...state, workspace: event.id }
    case 'source':
      return { ...state, sources: appended(state.sources, event.name) }
    case 'kept':
      return {
        ...state,
        kept: {
          records: event.records,
          bytes: event.bytes,
          complete: event.complete,
          broken: event.broken ?? state.kept.broken,
        },
      }
    case 'sealed':
      return withBatch(state, sealed(event))
    case 'split':
      return event.into.reduce(
        (next, part) => withBatch(next, sealed(part)),
        move(state, event.number, ['sealed', 'armed'], { phase: 'void' }),
      )
    case 'reserved':
      return move(state, event.number, ['sealed'], { reserved: event.amount })
    case 'warned':
      return { ...state, warned: true }
    case 'armed':
      return move(state, event.number, ['sealed'], {
        phase: 'armed',
        armed: { at: event.at, serverAt: event.serverAt },
      })
    case 'disarmed':
      return move(state, event.number, ['armed'], { phase: 'sealed', armed: null, suspects: {} })
    case 'suspect':
      return suspect(state, event, 'open')
    case 'cleared':
      return suspect(state, event, 'cleared')
    case 'submitted':
      return move(state, event.number, ['sealed', 'armed'], {
        phase: 'submitted',
        id: event.id,
        submittedAt: event.at,
      })
    case 'ended':
      return move(state, event.number, ['submitted', 'armed'], {
        phase: 'ended',
        endedAt: event.at,
        counts: event.counts,
        resultsUrl: event.resultsUrl,
      })
    case 'fetched':
      return fetched(state, event)
    case 'output':
      return anewInto(state, event)
    case 'written':
      return {
        ...move(state, event.number, ['fetched'], { phase: 'written' }),
        output: { ...state.output, out: event.out, errors: event.errors },
      }
    case 'finished':
      return { ...state, finished: true }
  }
}

function opened(state: JobState | undefined, event: JobEvent & { type: 'opened' }): JobState {
  if (state) throw damaged('is opened twice')
  if (event.version > VERSION) {
    throw new BatchStreamError(
      'CBS_STATE',
      `the job was written by a newer version (format ${event.version}; this one reads up to ${VERSION}): use that version`,
    )
  }
  return {
    run: event.run,
    openedAt: event.at,
    workspace: null,
    sources: [],
    kept: { records: 0, bytes: 0, complete: false, broken: null },
    batches: new Map(),
    output: { files: { out: null, errors: null }, out: 0, errors: 0 },
    fetches: 0,
    warned: false,
    finished: false,
  }
}

function sealed(part: Sealed): BatchState {
  const { number, attempt, next, first, records, requests, bytes, hash, foreign, primes } = part
  return {
    ...{ number, attempt, next, records, requests, bytes, hash },
    ...(first !== undefined && { first }),
    ...(foreign && { foreign }),
    ...(primes && { primes }),
    phase: 'sealed',
    armed: null,
    suspects: {},
    id: null,
    submittedAt: null,
    endedAt: null,
    counts: null,
    resultsUrl: null,
    fetched: null,
    fetchOrder: null,
  }
}

/** Another output is written from its first row, so no batch counts as written. */
function anewInto(state: JobState, { out, errors }: JobEvent & { type: 'output' }): JobState {
  let next: JobState = { ...state, output: { files: { out, errors }, out: 0, errors: 0 } }
  for (const { number, phase } of state.batches.values()) {
    if (phase === 'written') next = move(next, number, ['written'], { phase: 'fetched' })
  }
  return next
}

function fetched(state: JobState, event: JobEvent & { type: 'fetched' }): JobState {
  const next = move(state, event.number, ['sealed', 'submitted', 'ended'], {
    phase: 'fetched',
    fetched: { lines: event.lines, bytes: event.bytes, why: event.why },
    fetchOrder: state.fetches,
  })
  return { ...next, fetches: state.fetches + 1 }
}

function suspect(
  state: JobState,
  event: { readonly number: number; readonly id: string },
  is: 'open' | 'cleared',
): JobState {
  const suspects = { ...state.batches.get(event.number)?.suspects, [event.id]: is }
  return move(state, event.number, ['armed'], { suspects })
}

function withBatch(state: JobState, batch: BatchState): JobState {
  if (state.batches.has(batch.number)) throw damaged(`seals batch ${batch.number} twice`)
  return { ...state, batches: mutated(state.batches, batch) }
}

function move(
  state: JobState,
  number: number,
  from: readonly Phase[],
  change: Partial<BatchState>,
): JobState {
  const batch = state.batches.get(number)
  if (!batch || !from.includes(batch.phase)) {
    throw damaged(`moves batch ${number} from ${batch?.phase ?? 'nowhere'} to ${change.phase}`)
  }
  return { ...state, batches: mutated(state.batches, { ...batch, ...change }) }
}

/** The map is shared between states and only ever grows forward: copying it for each event would be quadratic. */
function mutated(
  batches: ReadonlyMap<number, BatchState>,
  batch: BatchState,
): ReadonlyMap<number, BatchState> {
  // The fold owns this map; nobody else is handed a mutable view of it.
  return (batches as Map<number, BatchState>).set(batch.number, batch)
}

/** Shared and grown like the map of batches: with `--from files` each of 100,000 records is a source of its own. */
function appended(sources: readonly string[], name: string): readonly string[] {
  // The fold owns this list; nobody else is handed a mutable view of it.
  ;(sources as string[]).push(name)
  return sources
}

function damaged(how: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the job's journal is damaged: it ${how}; see \`claude-batch-stream doctor\``,
  )
}
