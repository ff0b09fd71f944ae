import { max, min, sum } from 'd3-array'
import type { BatchState } from '../core/job/state.ts'

/** The maximum number of lanes; with more batches, each lane covers several. */
export const MOST_LANES = 60
const MOST_STEPS = 200

/** A lane of the time line: a batch, or several consecutive ones. */
export interface Lane {
  readonly first: number
  readonly last: number
  readonly batches: number
  readonly ids: readonly string[]
  readonly requests: number
  /** The highest attempt of its batches. */
  readonly attempt: number
  readonly from: number
  readonly to: number
  /** `unknown`: it is not known yet whether the API has it. */
  readonly kind: 'ended' | 'running' | 'unknown'
}

export interface TimeLine {
  readonly from: number
  readonly to: number
  readonly lanes: readonly Lane[]
  /** Batches per lane. */
  readonly perLane: number
  /** The number of requests that had ended at a time, ascending. */
  readonly ended: readonly { readonly at: number; readonly requests: number }[]
  /** Requests of all batches that were sent. */
  readonly requests: number
  /** Requests of batches that have ended. */
  readonly done: number
  /** Batches that are sealed and not sent. */
  readonly waiting: number
}

/** When batches were sent and ended. */
export function timeLineOf(batches: Iterable<BatchState>, openedAt: number, now: number): TimeLine {
  const all = [...batches].filter(({ phase, requests }) => phase !== 'void' && requests > 0)
  const sent = all.flatMap(batch => spanOf(batch, now))
  const perLane = Math.max(1, Math.ceil(sent.length / MOST_LANES))
  const lanes: Lane[] = []
  for (let at = 0; at < sent.length; at += perLane) lanes.push(joined(sent.slice(at, at + perLane)))
  // Clocks may be set back while a job runs.
  const from = Math.min(openedAt, min(sent, lane => lane.from) ?? openedAt)
  const to = Math.max(from + 1, max(sent, lane => lane.to) ?? from)
  const ended = sent.filter(({ kind }) => kind === 'ended').sort((a, b) => a.to - b.to)
  return {
    ...{ from, to, lanes, perLane, ended: stepsOf(ended, from) },
    requests: sum(sent, lane => lane.requests),
    done: sum(ended, lane => lane.requests),
    waiting: all.length - sent.length,
  }
}

function spanOf(batch: BatchState, now: number): Lane[] {
  const { number, id, requests, attempt, armed, submittedAt, endedAt, fetched } = batch
  const from = submittedAt ?? armed?.at
  if (from === undefined) return []
  const isOver = endedAt !== null || fetched !== null
  const to = Math.max(from, isOver ? (endedAt ?? from) : now)
  const kind = isOver ? 'ended' : submittedAt === null ? 'unknown' : 'running'
  const ids = id === null ? [] : [id]
  return [{ first: number, last: number, batches: 1, ids, requests, attempt, from, to, kind }]
}

function joined(lanes: readonly Lane[]): Lane {
  // There is at least one lane.
  const [first, last] = [lanes[0] as Lane, lanes.at(-1) as Lane]
  const kinds = ['unknown', 'running'] as const
  return {
    first: first.first,
    last: last.last,
    batches: lanes.length,
    ids: lanes.length === 1 ? first.ids : [],
    requests: sum(lanes, lane => lane.requests),
    attempt: Math.max(...lanes.map(lane => lane.attempt)),
    from: Math.min(...lanes.map(lane => lane.from)),
    to: Math.max(...lanes.map(lane => lane.to)),
    kind: kinds.find(kind => lanes.some(lane => lane.kind === kind)) ?? 'ended',
  }
}

function stepsOf(ended: readonly Lane[], from: number): TimeLine['ended'] {
  let requests = 0
  const steps = ended.map(lane => ({ at: lane.to, requests: (requests += lane.requests) }))
  const every = Math.ceil(steps.length / MOST_STEPS)
  // The last one is always included.
  const shown = steps.filter((_, at) => (steps.length - 1 - at) % every === 0)
  return [{ at: from, requests: 0 }, ...shown]
}
