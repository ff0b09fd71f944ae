import { messageOf } from '../core/errors.ts'
import type { RunObservation, RunObserver } from '../core/job/observer.ts'
import type { RunEvent } from '../core/job/run-event.ts'
import type { Result } from '../core/results/result.ts'

/** Attributes of a span or a measurement. */
export type Attributes = Record<string, string | number>

/** The members of an `@opentelemetry/api` span that are used. */
export interface OpenTelemetrySpan {
  /** What a link to this span holds. */
  spanContext(): { traceId: string; spanId: string; traceFlags: number }
  /** Adds attributes to the span. */
  setAttributes(attributes: Attributes): unknown
  /** Adds an event to the span, with the current time. */
  addEvent(name: string): unknown
  /** Sets the status; code 2 is an error. */
  setStatus(status: { code: number; message?: string }): unknown
  /** Ends the span now. */
  end(): void
}

/** The members of `@opentelemetry/api` (1.4 or newer) that are used: `import * as api from '@opentelemetry/api'`. */
export interface OpenTelemetryApi {
  /** Where tracers come from. */
  readonly trace: {
    /** Returns the tracer of this name. */
    getTracer(name: string): {
      startSpan(
        name: string,
        options: {
          root?: boolean
          attributes: Attributes
          links?: { context: ReturnType<OpenTelemetrySpan['spanContext']> }[]
        },
      ): OpenTelemetrySpan
    }
  }
  /** Where meters come from. */
  readonly metrics: {
    /** Returns the meter of this name. */
    getMeter(name: string): {
      createHistogram(
        name: string,
        options: { unit: string; description: string },
      ): { record(value: number, attributes: Attributes): void }
      createCounter(
        name: string,
        options: { unit: string; description: string },
      ): { add(value: number, attributes: Attributes): void }
      createUpDownCounter(
        name: string,
        options: { unit: string; description: string },
      ): { add(value: number, attributes: Attributes): void }
    }
  }
}

const NAME = 'claude-batch-stream'

/** The provider and operation in the GenAI semantic conventions. */
const GEN_AI = { 'gen_ai.provider.name': 'anthropic', 'gen_ai.operation.name': 'chat' }

/** SpanStatusCode.ERROR of the API. */
const ERROR = 2

/**
 * Spans and metrics of runs: `runBatches(source, { telemetry: openTelemetry(api) })`. One span per run, one per batch (from
 * sealed to fetched, linked to its run), none per row. Without a registered provider it does nothing.
 *
 * | metric | kind | attributes |
 * | --- | --- | --- |
 * | `gen_ai.client.token.usage` | histogram, tokens per request | `gen_ai.token.type` (input, output), `gen_ai.response.model` |
 * | `claude_batch_stream.rows` | counter | `claude_batch_stream.row.status` |
 * | `claude_batch_stream.cost` | counter, USD | `gen_ai.response.model` |
 * | `claude_batch_stream.batches` | up-down counter | `claude_batch_stream.batch.state` (sealed, submitted, ended) |
 */
export function openTelemetry(api: OpenTelemetryApi): RunObserver {
  const tracer = api.trace.getTracer(NAME)
  const meter = api.metrics.getMeter(NAME)
  const instruments = {
    tokens: meter.createHistogram('gen_ai.client.token.usage', {
      unit: '{token}',
      description: 'Input and output tokens of a request',
    }),
    rows: meter.createCounter('claude_batch_stream.rows', {
      unit: '{row}',
      description: 'Results by status',
    }),
    cost: meter.createCounter('claude_batch_stream.cost', {
      unit: 'USD',
      description: 'What answers cost',
    }),
    batches: meter.createUpDownCounter('claude_batch_stream.batches', {
      unit: '{batch}',
      description: 'Batches by state',
    }),
  }
  return {
    begin: ({ job }) => {
      const attributes = { ...GEN_AI, 'claude_batch_stream.job.name': job }
      const span = tracer.startSpan('claude_batch_stream.run', { attributes })
      const startBatch = (number: number): OpenTelemetrySpan =>
        tracer.startSpan('claude_batch_stream.batch', {
          root: true,
          attributes: { ...attributes, 'claude_batch_stream.batch.number': number },
          links: [{ context: span.spanContext() }],
        })
      return new Observation(span, startBatch, instruments)
    },
  }
}

interface Instruments {
  readonly tokens: { record(value: number, attributes: Attributes): void }
  readonly rows: { add(value: number, attributes: Attributes): void }
  readonly cost: { add(value: number, attributes: Attributes): void }
  readonly batches: { add(value: number, attributes: Attributes): void }
}

type BatchPhase = 'sealed' | 'submitted' | 'ended'

class Observation implements RunObservation {
  readonly #span: OpenTelemetrySpan
  readonly #startBatch: (number: number) => OpenTelemetrySpan
  readonly #instruments: Instruments
  readonly #batches = new Map<
    number,
    { readonly span: OpenTelemetrySpan; readonly phase: BatchPhase }
  >()
  #rows = 0

  constructor(
    span: OpenTelemetrySpan,
    startBatch: (number: number) => OpenTelemetrySpan,
    instruments: Instruments,
  ) {
    this.#span = span
    this.#startBatch = startBatch
    this.#instruments = instruments
  }

  event(event: RunEvent): void {
    switch (event.type) {
      case 'sealed':
        this.#move(event.number, 'sealed', {
          'claude_batch_stream.batch.requests': event.requests,
          'claude_batch_stream.batch.attempt': event.attempt,
        })
        break
      case 'submitted':
        this.#move(event.number, 'submitted', { 'claude_batch_stream.batch.id': event.id })
        break
      case 'ended':
        this.#move(event.number, 'ended', {})
        break
      case 'fetched':
        this.#finish(event.number)
        break
      case 'split':
        this.#finish(event.number)
        for (const { number, requests } of event.into)
          this.#move(number, 'sealed', { 'claude_batch_stream.batch.requests': requests })
        break
      case 'stopped':
        this.#span.addEvent(`submission stopped: ${event.code}`)
        break
      default:
    }
  }

  result({ status, usage, model, cost }: Result<object>): void {
    const { tokens, rows, cost: spent } = this.#instruments
    this.#rows += 1
    rows.add(1, { 'claude_batch_stream.row.status': status })
    if (!usage) return
    const of = { ...GEN_AI, 'gen_ai.response.model': model ?? 'unknown' }
    for (const type of ['input', 'output']) {
      const count = usage[`${type}_tokens`]
      if (typeof count === 'number') tokens.record(count, { ...of, 'gen_ai.token.type': type })
    }
    if (cost) spent.add(cost, of)
  }

  end(cause: unknown): void {
    for (const number of [...this.#batches.keys()]) this.#finish(number)
    this.#span.setAttributes({ 'claude_batch_stream.rows': this.#rows })
    if (cause !== undefined)
      this.#span.setStatus({
        code: ERROR,
        message: messageOf(cause),
      })
    this.#span.end()
  }

  #move(number: number, phase: BatchPhase, attributes: Attributes): void {
    const known = this.#batches.get(number)
    const span = known?.span ?? this.#startBatch(number)
    if (known) this.#count(known.phase, -1)
    this.#count(phase, 1)
    span.setAttributes(attributes)
    span.addEvent(phase)
    this.#batches.set(number, { span, phase })
  }

  /** Ends the span of a batch: when its results are stored, when it is split, or with the run. */
  #finish(number: number): void {
    const batch = this.#batches.get(number)
    if (!batch) return
    this.#batches.delete(number)
    this.#count(batch.phase, -1)
    batch.span.setAttributes({ 'claude_batch_stream.batch.state': batch.phase })
    batch.span.end()
  }

  #count(phase: BatchPhase, change: number): void {
    this.#instruments.batches.add(change, { 'claude_batch_stream.batch.state': phase })
  }
}
