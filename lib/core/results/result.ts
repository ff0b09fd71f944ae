import { inspect } from 'node:util'
import { compactJson } from '../json/compact.ts'
import { shorten, withoutKeys } from '../without-keys.ts'
import type { EndedBatch, FieldsOf, Problem, RecordJson, SourceRecord, ValueOf } from '../flow.ts'
import type { TypeMap } from '../stage.ts'
import type { Fields } from '../jsonify.ts'
import type { AnswerCheck, Checked } from '../schema/answer-check.ts'
import type { LineRange } from './line-members.ts'
import { ResultLine } from './result-line.ts'
import { statusOfType, type Status } from './status.ts'

export type { Status } from './status.ts'

/** Token counts as the API sent them. */
export type Usage = Readonly<Record<string, unknown>>

/** The parts of a Result: the API's line, or the reason why there is none. */
export interface ResultParts<F extends object = Fields, V = unknown> {
  readonly batch: EndedBatch<F, V>
  /** The batch of the identical request whose answer this result shares. */
  readonly answeredIn?: EndedBatch<F, V>
  /** The batch of the earlier attempt that has the answer, where this one brought none. */
  readonly answeredBefore?: EndedBatch<F, V> | undefined
  /** The custom_id of a result without a line; null if the record never got one. */
  readonly customId: string | null
  /** The earlier job whose answer was reused. */
  readonly reused?: { readonly job: string; readonly batchId: string | null } | undefined
  /** Undefined for a batch that another tool created. */
  readonly record: SourceRecord<F> | undefined
  /** The API's line without its line end; null if there is none. */
  readonly raw: Buffer | null
  /** Why there is no line. */
  readonly without?:
    | { readonly status: 'rejected' | 'unanswered' | 'skipped'; readonly problem: Problem }
    | undefined
  /** True for the last row of its batch. */
  readonly last: boolean
  /** Checks a full answer against the requested schema. */
  readonly check?: AnswerCheck | undefined
}

/**
 * The answer to one record. `F` is the type of the record's fields, `V` that of a full answer. The API's line is walked when one
 * of its members is first read, and only that member is parsed.
 */
export class Result<F extends object = Fields, V = unknown> {
  /** The record; undefined for a batch that another tool created. */
  readonly record: SourceRecord<F> | undefined
  /** The API's line without its line end; null if there is none. */
  readonly raw: Buffer | null
  /** The batch of this attempt. */
  readonly batch: EndedBatch<F, V>
  /** Whether it is the last result of its batch. */
  readonly last: boolean
  readonly #customId: string | null
  /** True if the record was not sent because it shares the answer of an earlier record with an identical request. */
  readonly repeat: boolean
  /** The name of the earlier job whose answer was reused; null if this job sent the request. */
  readonly reused: string | null
  readonly #reused: ResultParts['reused']
  readonly #answeredIn: EndedBatch<F, V>
  readonly #answeredBefore: EndedBatch<F, V> | undefined
  readonly #without: ResultParts['without']
  readonly #check: AnswerCheck | undefined
  #line: ResultLine | undefined
  // The writer, the counts and the cost ledger read each of these for every row.
  #status: Status | undefined
  #usage: Usage | null | undefined
  #checked: Checked | undefined

  /** @internal */
  constructor(parts: ResultParts<F, V>) {
    this.batch = parts.batch
    this.#customId = parts.customId
    this.record = parts.record
    this.raw = parts.raw
    this.last = parts.last
    this.repeat = parts.answeredIn !== undefined
    this.#reused = parts.reused
    this.reused = parts.reused?.job ?? null
    this.#answeredBefore = parts.answeredBefore
    this.#answeredIn = parts.answeredIn ?? parts.answeredBefore ?? parts.batch
    this.#without = parts.without
    this.#check = parts.check
  }

  /** The request's custom_id; null if the record never got one. */
  get customId(): string | null {
    return this.line?.string(this.line.customId) ?? this.#customId
  }

  /** The API's id of the batch that has the answer; null if nothing was sent. */
  get batchId(): string | null {
    if (this.#reused) return this.#reused.batchId
    return this.raw || this.status === 'unanswered' ? this.#answeredIn.id : null
  }

  /** The attempt that brought this answer: how many times the record had been sent by then. */
  get attempt(): number {
    return (this.#answeredBefore ?? this.batch).attempt
  }

  /** `succeeded`, or why there is no full answer (docs/formats.md). */
  get status(): Status {
    if (this.#without) return this.#without.status
    return this.#broken ? 'invalid' : this.#sent
  }

  /** All text blocks joined, not only the first block, which may be thinking; null if there is no text. */
  get response(): string | null {
    const line = this.line
    if (!line || line.texts.length === 0) return null
    return line.texts.map(text => line.string(text)).join('')
  }

  /**
   * The answer of a `succeeded` row: the value that the schema describes, or the text if there is no schema. Undefined for every
   * other status; the text of an answer that was cut, refused or invalid is in `response`.
   */
  get value(): V | undefined {
    if (this.status !== 'succeeded') return undefined
    const verdict = this.checked
    // The check proved that the value matches the schema, and V is the type of that schema.
    if (verdict && 'value' in verdict)
      return ('output' in verdict ? verdict.output : verdict.value) as V
    // Without a schema, V is string.
    return (this.response ?? '') as V
  }

  /**
   * The JSON of a full answer that its schema accepts, as the model wrote it, on one line; undefined for any other answer.
   * @internal
   */
  get answerJson(): Buffer | undefined {
    const verdict = this.checked
    // An answer without text is never valid.
    return verdict && 'value' in verdict ? compactJson(this.response as string) : undefined
  }

  /** The API's `stop_reason`; null without an answer. */
  get stopReason(): string | null {
    return this.line?.string(this.line.stopReason) ?? null
  }

  /** The model that answered, as the API names it; null without an answer. */
  get model(): string | null {
    return this.line?.string(this.line.model) ?? null
  }

  /**
   * Token usage as the API sent it; null for a `repeat` and for a reused answer, so that the usage of all rows adds up to what was
   * billed.
   */
  get usage(): Usage | null {
    if (this.#usage === undefined)
      this.#usage = this.repeat || this.#reused ? null : this.#lineUsage()
    return this.#usage
  }

  /**
   * The usage that the earlier job was billed for a reused answer; null for any other answer.
   * @internal
   */
  get savedUsage(): Usage | null {
    // An empty usage has an unknown cost.
    return this.#reused ? (this.#lineUsage() ?? {}) : null
  }

  /**
   * Whether the API billed this answer: it says that the request succeeded, also if the answer is incomplete or cannot be read.
   * False for a `repeat`, for a reused answer, and for that of an earlier attempt, which was billed then.
   * @internal
   */
  get isBilled(): boolean {
    return this.hasAnswer && !this.repeat && !this.#reused && !this.#answeredBefore
  }

  /**
   * Whether the API says that the request succeeded, also if the answer is incomplete or cannot be read.
   * @internal
   */
  get hasAnswer(): boolean {
    return this.line?.string(this.line.type) === 'succeeded'
  }

  /**
   * Whether this attempt brought no answer, so that the result has that of an earlier one, which was counted then.
   * @internal
   */
  get isEarlier(): boolean {
    return this.#answeredBefore !== undefined
  }

  #lineUsage(): Usage | null {
    return usageOf(this.line?.parse(this.line.usage))
  }

  /**
   * The cost of the answer in USD: 0 if nothing was billed, null if the price of its model is unknown or the API sent no valid token
   * counts. Every attempt of a record is billed; this is the cost of the attempt that produced this result.
   */
  get cost(): number | null {
    return this.batch.job.costOf?.(this) ?? null
  }

  /** Why there is no full answer; null for a succeeded one. */
  get error(): Problem | null {
    if (this.#without) return this.#without.problem
    const status = this.status
    if (status === 'succeeded') return null
    if (this.#broken) return this.#broken
    if (status === 'errored') return this.#apiError()
    if (status === 'refused') return this.#refusal()
    if (status === 'incomplete') return incomplete(this.stopReason)
    // All other statuses were handled above.
    return { type: status, message: SENTENCES[status as 'expired' | 'canceled'] }
  }

  #apiError(): Problem {
    const type = this.#text(this.line?.type)
    if (type === 'succeeded') {
      return {
        type: 'unknown_message',
        message:
          'the API says that this request succeeded, and its message has no list of content that can be read; the line is kept as it came',
      }
    }
    if (type !== 'errored') {
      return {
        type: 'unknown_result_type',
        message: `the API answered with a result type this version does not know: ${type}`,
      }
    }
    // The useful error is nested twice, with the word "error" as the outer type. A gateway may send it nested once, or a text.
    const outer = this.line?.error
    const isText = this.line?.string(outer) !== undefined
    const error = this.line?.member(outer, 'error') ?? outer
    const kind = this.#text(this.line?.member(error, 'type'))
    const message = this.#text(isText ? outer : this.line?.member(error, 'message'))
    return {
      type: kind === undefined || kind === 'error' ? 'unknown_error' : kind,
      message: `${message ?? 'the API gave no reason'}${this.#paths(error)}`,
    }
  }

  /** The places in the request that an error names, such as the images that are too large. */
  #paths(error: LineRange | undefined): string {
    const paths = this.line?.parse(this.line.member(this.line.member(error, 'details'), 'paths'))
    const named = Array.isArray(paths) ? paths.filter(path => typeof path === 'string') : []
    return named.length > 0 ? ` (${named.join(', ')})` : ''
  }

  #refusal(): Problem {
    const details = this.line?.stopDetails
    const category = this.#text(this.line?.member(details, 'category'))
    const why =
      this.#text(this.line?.member(details, 'explanation')) ??
      (category ? `category ${category}` : 'no reason given')
    return { type: 'refusal', message: `the model refused: ${why}` }
  }

  /** The status according to the API's line. */
  get #sent(): Status {
    if (this.#status === undefined) {
      const status = statusOfType(this.line?.string(this.line.type) ?? '', this.stopReason)
      // A paid answer that cannot be read must not look like an empty one.
      this.#status = status === 'succeeded' && !this.line?.hasContent ? 'errored' : status
    }
    return this.#status
  }

  /**
   * The result of the schema's check of a full answer; undefined without a schema or a full answer.
   * @internal
   */
  get checked(): Checked | undefined {
    if (!this.#check || this.#without || this.#sent !== 'succeeded') return undefined
    return (this.#checked ??= this.#check(this.response))
  }

  get #broken(): Problem | undefined {
    const verdict = this.checked
    return verdict && 'problem' in verdict ? verdict.problem : undefined
  }

  /**
   * The API's line with the places of its parts; undefined if there is none.
   * @internal
   */
  get line(): ResultLine | undefined {
    if (!this.raw) return undefined
    return (this.#line ??= ResultLine.read(this.raw))
  }

  /** What `JSON.stringify` shows of it: its record and what the API said, and nothing of the job. */
  toJSON(): ResultJson<F, V> {
    const { record, customId, batchId, attempt, status, value, response } = this
    const { error, stopReason, model, usage, cost, repeat, reused } = this
    return {
      ...(record && { record: record.toJSON() }),
      ...{ status, value, response, error, stopReason, model, usage, cost },
      ...{ customId, batchId, attempt, repeat, reused },
    }
  }

  static {
    // `console.log` shows the same.
    const show = function (this: Result): object {
      return this.toJSON()
    }
    Object.defineProperty(this.prototype, inspect.custom, { value: show })
  }

  /** A value that should be a string, as text: JSON if it is something else, undefined if it is null or missing. */
  #text(place: LineRange | undefined): string | undefined {
    const text = this.line?.text(place)
    return text === undefined ? undefined : shorten(withoutKeys(text))
  }
}

/** The members of a result in JSON. */
export interface ResultJson<F extends object = Fields, V = unknown> extends Pick<
  Result<F, V>,
  | 'status'
  | 'value'
  | 'response'
  | 'error'
  | 'stopReason'
  | 'model'
  | 'usage'
  | 'cost'
  | 'customId'
  | 'batchId'
  | 'attempt'
  | 'repeat'
  | 'reused'
> {
  /** Absent for a batch that another tool created. */
  readonly record?: RecordJson<F>
}

/** The result of a record of the job. Results of a batch that another tool created have no record. */
export interface RecordResult<F extends object = Fields, V = unknown> extends Result<F, V> {
  /** The record, with its fields. */
  readonly record: SourceRecord<F>
}

const SENTENCES = {
  expired: 'the batch expired before this request was answered',
  canceled: 'the batch was canceled before this request was answered',
}

function incomplete(stopReason: string | null): Problem {
  const why = stopReason === 'max_tokens' ? 'it reached max_tokens' : `stop_reason is ${stopReason}`
  return { type: 'incomplete', message: `the answer was cut: ${why}` }
}

/** Each member is checked when it is counted: answers may lack some that the types promise. */
function usageOf(value: unknown): Usage | null {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return isObject ? (value as Usage) : null
}

/** Maps ended batches to the results of their records. */
export interface Fetches extends TypeMap {
  readonly gives: RecordResult<FieldsOf<this['item']>, ValueOf<this['item']>>
}
