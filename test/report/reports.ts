import type { EndedBatch } from '../../lib/core/flow.ts'
import type { BatchState } from '../../lib/core/job/state.ts'
import { listPrice } from '../../lib/cost/price.ts'
import { batchRowsOf } from '../../lib/report/batch-rows.ts'
import { ReportFigures } from '../../lib/report/figures.ts'
import type { JobReport } from '../../lib/report/report.ts'
import { timeLineOf } from '../../lib/report/time-line.ts'
import { Result } from '../../lib/core/results/result.ts'
import type { Status } from '../../lib/core/results/status.ts'

export const BEGAN: number = Date.parse('2026-11-20T22:15:00Z')
export const MINUTE = 60_000

/** A batch as a job's state has it: sent after so many minutes, ended after so many more. */
export function batch(number: number, change: Partial<BatchState> = {}): BatchState {
  return {
    ...{
      number,
      root: number,
      attempt: 1,
      next: 0,
      records: 10,
      requests: 10,
      bytes: 1000,
      hash: '',
    },
    ...{ phase: 'written', armed: null, candidates: {}, id: `msgbatch_${number}` },
    ...{ submittedAt: BEGAN + number * MINUTE, endedAt: BEGAN + (number + 5) * MINUTE },
    ...{ counts: null, resultsUrl: null, fetchOrder: 0 },
    fetched: { lines: 10, bytes: 1000, why: null },
    ...change,
  }
}

/** A result of which only its line is read. */
export function result(line: object): Result {
  return new Result({
    ...{ customId: null, record: undefined, last: false },
    batch: {} as EndedBatch,
    raw: Buffer.from(JSON.stringify({ custom_id: 'a', ...line })),
  })
}

export function answered(usage: object, message: object = {}): Result {
  const text = { type: 'text', text: 'fine' }
  return result({
    result: {
      type: 'succeeded',
      message: {
        ...{ model: 'claude-haiku-5-5', content: [text], stop_reason: 'end_turn' },
        ...{ usage, ...message },
      },
    },
  })
}

export function failed(message: string): Result {
  const error = { type: 'invalid_request_error', message }
  return result({ result: { type: 'errored', error: { type: 'error', error } } })
}

/** Figures of some results, each the newest answer of a record of its own. */
export function figuresOf(results: readonly Result[], price = listPrice): ReportFigures {
  const figures = new ReportFigures(price)
  for (const [ordinal, one] of results.entries())
    figures.add(one, { batch: batch(1), ordinal, isAsked: true, isNewest: true, isLast: true })
  return figures
}

/** A finished job of four batches, unless the test says otherwise. */
export function reportOf(change: Partial<JobReport> = {}): JobReport {
  const usages = Array.from({ length: 40 }, (_, at) => ({
    input_tokens: 100 + 30 * at,
    output_tokens: (at * 37) % 90 || 1,
    cache_read_input_tokens: at > 3 ? 1200 : 0,
    cache_creation_input_tokens: at > 3 ? 0 : 1200,
  }))
  const batches = [1, 2, 3, 4].map(number => batch(number))
  return {
    job: 'nightly',
    note: undefined,
    state: 'finished',
    madeAt: BEGAN + 180 * MINUTE,
    openedAt: BEGAN,
    model: 'claude-haiku-5-5',
    sources: ['reviews.csv'],
    records: 40,
    isRead: true,
    request: {
      texts: [['Prompt', 'Sentiment of: {{review}}']],
      parameters: [
        ['Model', 'claude-haiku-5-5'],
        ['Maximum tokens', '1024'],
      ],
    },
    timeLine: timeLineOf(batches, BEGAN, BEGAN + 180 * MINUTE),
    batches: batchRowsOf(batches),
    figures: figuresOf(usages.map(usage => answered(usage))),
    failures: [],
    estimate: 4_000_000_000_000n,
    reserved: undefined,
    ...change,
  }
}

export function failure(message: string, text: string, status: Status = 'errored') {
  const lines = [{ line: 12, source: 'reviews.csv', text }]
  return { status, type: 'invalid_request_error', message, count: 1, ordinals: [11], lines }
}
