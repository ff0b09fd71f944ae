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

function startedAt({ records, complete, batches }: Started): Standing {
  const done = batches.filter(({ phase }) => phase === 'fetched' || phase === 'written')
  const first = batches.filter(({ attempt }) => attempt === 1)
  const open = batches
    .filter(batch => !done.includes(batch))
    .map(({ number, requests, phase, submittedAt }) => {
      return [number, { requests, since: phase === 'submitted' ? submittedAt : null }] as const
    })
  return {
    ...NOTHING,
    ...{ records, complete, batches: batches.length, done: done.length, open: new Map(open) },
    covered: first.reduce((sum, batch) => sum + batch.records, 0),
  }
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

/**
 * About how many ms are left, if what is to come takes as long as what has ended: the rest of the youngest batch, then as
 * many rounds as the batches to come need. Undefined while nothing has ended, or the input goes on, or it takes longer.
 */
export function leftOf(standing: Standing, now: number): number | undefined {
  const { complete, records, covered, batches, done, took, open } = standing
  if (!complete || took.batches === 0) return undefined
  const each = took.ms / took.batches
  const ages = agesOf(standing, now)
  const unsealed = Math.ceil((batches * Math.max(0, records - covered)) / Math.max(1, covered))
  const unsent = [...open.values()].length - ages.length + unsealed
  const rounds = Math.ceil(unsent / Math.max(1, ages.length))
  const rest = Math.max(0, each - (ages.at(-1) ?? each))
  const left = rest + rounds * each
  return left > 0 && done < batches + unsealed ? left : undefined
}
