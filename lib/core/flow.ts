import { inspect } from 'node:util'
import type Anthropic from '@anthropic-ai/sdk'
import type { Job } from './job/job.ts'
import type { Fields, Jsonify } from './jsonify.ts'
import type { TypeMap } from './stage.ts'

/** The body of one Messages request, as the official SDK types it. */
export type MessageParams = Anthropic.Messages.Batches.BatchCreateParams.Request['params']

/** Why a record is invalid or has no answer: a short type and a sentence. */
export interface Problem {
  /** A short, stable word, such as `missing_value` or the type of the API's error. */
  readonly type: string
  /** A sentence that names the cause. */
  readonly message: string
}

/** The metadata of a record. */
export interface RecordOrigin<F extends object = Fields> {
  /** Physical line on which the record starts, from 1. */
  readonly line: number
  /** Its file; undefined for a pipe. */
  readonly source?: string | undefined
  /** Why it could not be read, if so. */
  readonly problem?: Problem | undefined
  /** The parsed value of `raw`, if a parser already has it. */
  readonly fields?: F | undefined
  /** Its ordinal in the job's records file, once it is spooled. */
  readonly ordinal?: number | undefined
  /** The job that spooled it, if any. */
  readonly job?: Job | undefined
  /** Number of the next attempt; 1 unless it is retried. */
  readonly attempt?: number | undefined
  /** How often max_tokens is doubled in the next request because answers were cut; 0 otherwise. */
  readonly doublings?: number | undefined
}

/** The content of a new record, given lazily as bytes or as fields; most are read only once. */
export interface UnreadRecord<F extends object = Fields> {
  /** Returns the record as one JSON object on one line. */
  raw(): Buffer
  /** Returns the record as an object. */
  fields(): F
}

/**
 * One input record. `raw` is always one JSON object on one line: a JSONL line unchanged (byte for byte, without surrounding
 * blanks), a CSV row as an object of strings, and anything that is not an object as `{"input": ...}`. `F` is the type of
 * its fields.
 */
export class SourceRecord<F extends object = Fields> {
  /** Physical line on which the record starts, from 1. */
  readonly line: number
  /** Its file; undefined for a pipe. */
  readonly source: string | undefined
  /** Why it could not be read, if so. */
  readonly problem: Problem | undefined
  /** Its ordinal in the job's records file, from 0; undefined before it is spooled. */
  readonly ordinal: number | undefined
  /** The job that spooled it; undefined before. */
  readonly job: Job | undefined
  /** Number of the next attempt; 1 unless it is retried. */
  readonly attempt: number
  /** How often max_tokens is doubled in the next request because answers were cut. */
  readonly doublings: number
  readonly #unread: UnreadRecord<F> | undefined
  #raw: Buffer | undefined
  #fields: Readonly<F> | undefined

  constructor(raw: Buffer | UnreadRecord<F>, origin: RecordOrigin<F>) {
    if (Buffer.isBuffer(raw)) this.#raw = raw
    else this.#unread = raw
    this.line = origin.line
    this.source = origin.source
    this.problem = origin.problem
    this.ordinal = origin.ordinal
    this.job = origin.job
    this.attempt = origin.attempt ?? 1
    this.doublings = origin.doublings ?? 0
    this.#fields = origin.fields && Object.freeze(origin.fields)
  }

  /** The record as one JSON object on one line, without a line end. */
  get raw(): Buffer {
    // It has one of the two.
    return (this.#raw ??= (this.#unread as UnreadRecord<F>).raw())
  }

  /**
   * The record as an object, parsed on first use. It is frozen: what is stored and sent is `raw`, so a change would be lost. To
   * change a record, pass on an object of your own.
   */
  get fields(): Readonly<F> {
    return (this.#fields ??= Object.freeze(
      this.#unread?.fields() ?? JSON.parse(this.raw.toString('utf8')),
    ))
  }

  /** What `JSON.stringify` shows of it. */
  toJSON(): RecordJson<F> {
    const { line, source, fields, problem } = this
    return { line, ...(source !== undefined && { source }), fields, ...(problem && { problem }) }
  }

  static {
    // `console.log` shows the same.
    const show = function (this: SourceRecord): object {
      return this.toJSON()
    }
    Object.defineProperty(this.prototype, inspect.custom, { value: show })
  }
}

/** The members of a record in JSON. */
export interface RecordJson<F extends object = Fields> {
  /** Physical line on which the record starts, from 1. */
  readonly line: number
  /** Absent for a pipe. */
  readonly source?: string
  /** The record as an object. */
  readonly fields: Readonly<F>
  /** Absent if it could be read. */
  readonly problem?: Problem
}

/** The types of records and answers that an item carries. Compile time only. */
export interface Carried<F, V> {
  /** Never present at run time. */
  readonly '~carried'?: readonly [fields: F, value: V]
}

/** The type of an item's record fields. */
export type FieldsOf<Item> =
  Item extends SourceRecord<infer F>
    ? F
    : Item extends { readonly record: SourceRecord<infer F> }
      ? F
      : '~carried' extends keyof Item
        ? Item extends Carried<infer F extends object, unknown>
          ? F
          : Fields
        : Fields

/** The type of an item's answers; a rejected record has none. */
export type ValueOf<Item> = Item extends { readonly problem: Problem }
  ? never
  : '~carried' extends keyof Item
    ? Item extends Carried<object, infer V>
      ? V
      : unknown
    : unknown

/**
 * A request that is ready to be sent. If it has no `custom_id`, the aggregator generates one. `F` is the type of its
 * record's fields, `V` that of its answer.
 */
export interface BatchRequest<F extends object = Fields, V = unknown> extends Carried<F, V> {
  /** 1 to 64 letters, digits, `_` and `-`, unique in the job. */
  readonly custom_id?: string | undefined
  /** The body of the Messages request. */
  readonly params: MessageParams
  /** Its record; a request without one is its own record. */
  readonly record?: SourceRecord<F> | undefined
}

/** An invalid record. It keeps its place in the stream and becomes a `rejected` row. */
export interface RejectedRecord<F extends object = Fields> {
  /** The record. */
  readonly record: SourceRecord<F>
  /** Why it is invalid. */
  readonly problem: Problem
}

/** What `template` makes of a record. */
export type TemplateOutput = BatchRequest | RejectedRecord

/** A batch that is full and on disk. Nothing of it has been sent. */
export interface SealedBatch<F extends object = Fields, V = unknown> extends Carried<F, V> {
  /** Always `sealed`. */
  readonly state: 'sealed'
  /** The job that stores it. */
  readonly job: Job
  /** Its number within the job, from 1. */
  readonly number: number
  /** 1 for the first attempt. */
  readonly attempt: number
  /** Records that it covers, including rejected ones. */
  readonly records: number
  /** Requests that it sends; 0 if every record was rejected. */
  readonly requests: number
  /** Size of its body in bytes. */
  readonly bytes: number
}

/** A batch that the API has accepted, or that had nothing to send. */
export interface SubmittedBatch<F extends object = Fields, V = unknown> extends Omit<
  SealedBatch<F, V>,
  'state'
> {
  /** Always `submitted`. */
  readonly state: 'submitted'
  /** The API's id; null if there was nothing to send. */
  readonly id: string | null
}

/** A batch that has ended, or whose answers are already stored. */
export interface EndedBatch<F extends object = Fields, V = unknown> extends Omit<
  SubmittedBatch<F, V>,
  'state'
> {
  /** Always `ended`. */
  readonly state: 'ended'
}

/** Maps records to requests for answers of type `V`. */
export interface Asks<V> extends TypeMap {
  readonly gives: BatchRequest<FieldsOf<this['item']>, V> | RejectedRecord<FieldsOf<this['item']>>
}

/** Maps records to records that were written to disk and read back. */
export interface Spools extends TypeMap {
  readonly gives: SourceRecord<JsonOf<this['item']>>
}

/** Maps requests to batches; their records were written to disk. */
export interface Seals extends TypeMap {
  readonly gives: SealedBatch<JsonOf<this['item']>, ValueOf<this['item']>>
}

/** Maps sealed batches to submitted ones. */
export interface Submits extends TypeMap {
  readonly gives: SubmittedBatch<FieldsOf<this['item']>, ValueOf<this['item']>>
}

/** Maps submitted batches to ended ones. */
export interface Ends extends TypeMap {
  readonly gives: EndedBatch<FieldsOf<this['item']>, ValueOf<this['item']>>
}

/** The fields of an item's record after they were written as JSON and read back. */
export type JsonOf<Item> = Jsonify<FieldsOf<Item>> extends infer F extends object ? F : Fields
