import type { Report, Started } from './report.ts'

/** A batch whose results are not here yet. */
export interface OpenBatch {
  readonly requests: number
  /** When the API took it, in ms since 1970; null until then, and once it has ended. */
  readonly since: number | null
}

/** Where a run stands: what its events add up to. */
export interface Standing {
  readonly records: number
  /** Whether the input has been read to its end. */
  readonly complete: boolean
  /** Records that stand in batches. */
  readonly covered: number
  readonly batches: number
  readonly batchSize: Started['batchSize']
  readonly batchEnds: Started['batchEnds']
  /** Batches of first attempts that were sealed because they were full, and the records in all of them. */
  readonly full: { readonly batches: number; readonly records: number }
  readonly done: number
  readonly open: ReadonlyMap<number, OpenBatch>
  /** Batches that this command has seen from taken to ended, and the ms of all together. */
  readonly took: { readonly batches: number; readonly ms: number }
  readonly rows: number
  /** Dollars so far and expected; null where they are unknown. */
  readonly spent: number | null
  readonly expected: number | null
}

export const NOTHING: Standing = {
  ...{ records: 0, complete: false, covered: 0, batches: 0, done: 0, open: new Map() },
  ...{ took: { batches: 0, ms: 0 }, rows: 0, spent: null, expected: null },
  ...{ batchSize: null, batchEnds: [], full: { batches: 0, records: 0 } },
}

export function after(standing: Standing, report: Report): Standing {
  switch (report.type) {
    case 'started':
      return startedAt(report)
    case 'kept':
      return { ...standing, records: report.records, complete: report.complete }
    case 'sealed':
      return {
        ...withOpen(standing, report.number, { requests: report.requests, since: null }),
        batches: standing.batches + 1,
        covered: Math.max(standing.covered, report.next),
        full: withFull(standing, { ...report, root: report.number }),
      }
    case 'split':
      return report.into.reduce(
        (next, { number, requests }) => withOpen(next, number, { requests, since: null }),
        {
          ...without(standing, report.number),
          batches: standing.batches + report.into.length - 1,
        },
      )
    case 'submitted': {
      const requests = standing.open.get(report.number)?.requests ?? 0
      return withOpen(standing, report.number, { requests, since: report.at })
    }
    case 'ended':
      return ended(standing, report)
    case 'fetched':
      return { ...without(standing, report.number), done: standing.done + 1 }
    case 'rows':
      return { ...standing, rows: report.rows }
    case 'spent':
      return { ...standing, spent: report.spent_usd, expected: report.estimate_usd }
    default:
      return standing
  }
}

function startedAt({ records, complete, batchSize, batchEnds, batches }: Started): Standing {
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

/** Counts a batch among the full ones. Parts of a split batch, retries and what goes first alone tell nothing about those to come. */
function withFull(
  { batchEnds, full }: Pick<Standing, 'batchEnds' | 'full'>,
  {
    number,
    root,
    attempt,
    next,
    records,
  }: Omit<Started['batches'][number], 'phase' | 'id' | 'requests' | 'submittedAt'>,
): Standing['full'] {
  if (attempt > 1 || root !== number || batchEnds.includes(next)) return full
  return { batches: full.batches + 1, records: full.records + records }
}

function ended(standing: Standing, { number, at }: { number: number; at: number }): Standing {
  const { requests, since } = standing.open.get(number) ?? { requests: 0, since: null }
  const next = withOpen(standing, number, { requests, since: null })
  if (since === null) return next
  const { batches, ms } = standing.took
  return { ...next, took: { batches: batches + 1, ms: ms + Math.max(0, at - since) } }
}

function withOpen(standing: Standing, number: number, batch: OpenBatch): Standing {
  return { ...standing, open: new Map(standing.open).set(number, batch) }
}

function without(standing: Standing, number: number): Standing {
  const open = new Map(standing.open)
  open.delete(number)
  return { ...standing, open }
}

/** How long the batches that the API has have been there, in ms, the oldest first. */
export function agesOf({ open }: Standing, now: number): number[] {
  const since = [...open.values()].flatMap(batch => (batch.since === null ? [] : [batch.since]))
  // The wall clock may have been set back.
  return since.map(at => Math.max(0, now - at)).sort((a, b) => b - a)
}

/** How many batches a job has in all. */
export interface Total {
  readonly batches: number
  /** `known`; or `estimated`, from what full batches hold; or a number that is growing (`at least`): the input is still being read. */
  readonly is: 'known' | 'estimated' | 'at least'
}

/** The batches that are sealed, and those that the other records will fill. */
export function totalOf(standing: Standing): Total {
  const { complete, batches, batchSize, full, records, covered } = standing
  if (complete && records <= covered) return { batches, is: 'known' }
  if (!complete || batchSize === null) return { batches, is: 'at least' }
  // Bytes may fill a batch before its requests do, and rejected records are no requests.
  const perBatch = full.batches === 0 ? batchSize : full.records / full.batches
  const isKnown = full.batches > 0 && perBatch === batchSize
  const unsealed = unsealedBatches(standing, perBatch)
  return { batches: batches + unsealed, is: isKnown ? 'known' : 'estimated' }
}

/** How many batches of so many records the records that stand in none will make. */
function unsealedBatches({ records, covered, batchEnds }: Standing, perBatch: number): number {
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
 * About how many ms are left, if what is to come takes as long as what has ended: the rest of the youngest batch, then as
 * many rounds as the batches to come need. Undefined while nothing has ended, or the input goes on, or it takes longer.
 */
export function leftOf(standing: Standing, now: number): number | undefined {
  const { complete, batches, done, took, open } = standing
  if (!complete || took.batches === 0) return undefined
  const each = took.ms / took.batches
  const ages = agesOf(standing, now)
  const total = totalOf(standing).batches
  const unsent = open.size - ages.length + total - batches
  const rounds = Math.ceil(unsent / Math.max(1, ages.length))
  const rest = Math.max(0, each - (ages.at(-1) ?? each))
  const left = rest + rounds * each
  return left > 0 && done < total ? left : undefined
}
