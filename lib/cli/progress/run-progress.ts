import type { ProgressReport, Started } from './report.ts'

/** A batch whose results are not stored yet. */
export interface PendingBatch {
  readonly requests: number
  /** When the API accepted it, in ms since 1970; null before that and after its end. */
  readonly since: number | null
}

/** The progress of a run, computed from its events. */
export interface RunProgress {
  readonly records: number
  /** Whether the input was read completely. */
  readonly complete: boolean
  /** Records that are in batches. */
  readonly covered: number
  readonly batches: number
  readonly batchSize: Started['batchSize']
  readonly batchEnds: Started['batchEnds']
  /** Batches of first attempts that were sealed because they were full, and their records. */
  readonly full: { readonly batches: number; readonly records: number }
  readonly done: number
  readonly open: ReadonlyMap<number, PendingBatch>
  /** Batches whose start and end this command saw, and their total duration. */
  readonly took: { readonly batches: number; readonly ms: number }
  readonly rows: number
  /** Dollars spent and expected; null if unknown. */
  readonly spent: number | null
  readonly expected: number | null
}

export const NOTHING: RunProgress = {
  ...{ records: 0, complete: false, covered: 0, batches: 0, done: 0, open: new Map() },
  ...{ took: { batches: 0, ms: 0 }, rows: 0, spent: null, expected: null },
  ...{ batchSize: null, batchEnds: [], full: { batches: 0, records: 0 } },
}

export function after(progress: RunProgress, report: ProgressReport): RunProgress {
  switch (report.type) {
    case 'started':
      return startedAt(report)
    case 'spooled':
      return { ...progress, records: report.records, complete: report.complete }
    case 'sealed':
      return {
        ...withOpen(progress, report.number, { requests: report.requests, since: null }),
        batches: progress.batches + 1,
        covered: Math.max(progress.covered, report.next),
        full: withFull(progress, { ...report, root: report.number }),
      }
    case 'split':
      return report.into.reduce(
        (next, { number, requests }) => withOpen(next, number, { requests, since: null }),
        {
          ...without(progress, report.number),
          batches: progress.batches + report.into.length - 1,
        },
      )
    case 'submitted': {
      const { requests = 0, since = null } = progress.open.get(report.number) ?? {}
      return withOpen(progress, report.number, { requests, since: since ?? report.at })
    }
    case 'ended':
      return ended(progress, report)
    case 'fetched':
      return { ...without(progress, report.number), done: progress.done + 1 }
    case 'rows':
      return { ...progress, rows: report.rows }
    case 'spent':
      return { ...progress, spent: report.spent_usd, expected: report.estimate_usd }
    default:
      return progress
  }
}

function startedAt({ records, complete, batchSize, batchEnds, batches }: Started): RunProgress {
  const done = batches.filter(({ phase }) => phase === 'fetched' || phase === 'written')
  const open = batches
    .filter(batch => !done.includes(batch))
    .map(({ number, requests, phase, submittedAt }) => {
      return [number, { requests, since: phase === 'submitted' ? submittedAt : null }] as const
    })
  const start = { ...NOTHING, batchSize, batchEnds }
  return {
    ...start,
    ...{ records, complete, batches: batches.length, done: done.length, open: new Map(open) },
    covered: Math.max(0, ...batches.map(({ next }) => next)),
    full: batches.reduce((full, batch) => withFull({ batchEnds, full }, batch), start.full),
  }
}

/**
 * Counts a batch among the full ones. Parts of a split batch, retries and first requests sent alone predict nothing about
 * later batches.
 */
function withFull(
  { batchEnds, full }: Pick<RunProgress, 'batchEnds' | 'full'>,
  {
    number,
    root,
    attempt,
    next,
    records,
  }: Omit<Started['batches'][number], 'phase' | 'id' | 'requests' | 'submittedAt'>,
): RunProgress['full'] {
  if (attempt > 1 || root !== number || batchEnds.includes(next)) return full
  return { batches: full.batches + 1, records: full.records + records }
}

function ended(progress: RunProgress, { number, at }: { number: number; at: number }): RunProgress {
  const { requests, since } = progress.open.get(number) ?? { requests: 0, since: null }
  const next = withOpen(progress, number, { requests, since: null })
  if (since === null) return next
  const { batches, ms } = progress.took
  return { ...next, took: { batches: batches + 1, ms: ms + Math.max(0, at - since) } }
}

function withOpen(progress: RunProgress, number: number, batch: PendingBatch): RunProgress {
  return { ...progress, open: new Map(progress.open).set(number, batch) }
}

function without(progress: RunProgress, number: number): RunProgress {
  const open = new Map(progress.open)
  open.delete(number)
  return { ...progress, open }
}

/** The ages of the batches in flight in ms, oldest first. */
export function agesOf({ open }: RunProgress, now: number): number[] {
  const since = [...open.values()].flatMap(batch => (batch.since === null ? [] : [batch.since]))
  // The wall clock may have been set back.
  return since.map(at => Math.max(0, now - at)).sort((a, b) => b - a)
}

/** The total number of batches of a job. */
export interface Total {
  readonly batches: number
  /** `known`; `estimated` from the size of full batches; or `at least` while the input is being read. */
  readonly is: 'known' | 'estimated' | 'at least'
}

/** The sealed batches plus those that the remaining records will fill. */
export function totalOf(progress: RunProgress): Total {
  const { complete, batches, batchSize, full, records, covered } = progress
  if (complete && records <= covered) return { batches, is: 'known' }
  if (!complete || batchSize === null) return { batches, is: 'at least' }
  // A batch may be full by bytes before it is full by requests, and rejected records are not requests.
  const perBatch = full.batches === 0 ? batchSize : full.records / full.batches
  const isKnown = full.batches > 0 && perBatch === batchSize
  const unsealed = unsealedBatches(progress, perBatch)
  return { batches: batches + unsealed, is: isKnown ? 'known' : 'estimated' }
}

/** How many batches the records outside of batches will fill. */
function unsealedBatches({ records, covered, batchEnds }: RunProgress, perBatch: number): number {
  let batches = 0
  let from = covered
  for (const end of [...batchEnds, records].sort((a, b) => a - b)) {
    const to = Math.min(end, records)
    if (to <= from) continue
    batches += Math.ceil((to - from) / perBatch)
    from = to
  }
  return batches
}

/**
 * Estimates the remaining ms from the average duration of ended batches: the rest of the youngest batch, then one round per
 * group of parallel batches. Undefined until a batch has ended and the input is complete, and when the estimate is overdue.
 */
export function leftOf(progress: RunProgress, now: number): number | undefined {
  const { complete, batches, done, took, open } = progress
  if (!complete || took.batches === 0) return undefined
  const each = took.ms / took.batches
  const ages = agesOf(progress, now)
  const total = totalOf(progress).batches
  const unsent = open.size - ages.length + total - batches
  const rounds = Math.ceil(unsent / Math.max(1, ages.length))
  const rest = Math.max(0, each - (ages.at(-1) ?? each))
  const left = rest + rounds * each
  return left > 0 && done < total ? left : undefined
}
