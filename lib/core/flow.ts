import type Anthropic from '@anthropic-ai/sdk'
import type { Job } from './job/job.ts'
import type { Fields, Jsonify } from './jsonify.ts'
import type { RecordResult } from './results/result.ts'
import type { TypeMap } from './stage.ts'

/** The body of one Messages request, as the official SDK types it. */
export type MessageParams = Anthropic.Messages.Batches.BatchCreateParams.Request['params']

/** Why a record cannot be asked, or has no answer: a short type and a sentence. */
export interface Problem {
  readonly type: string
  readonly message: string
}

/** What a record is made of besides its bytes. */
export interface RecordOrigin<F extends object = Fields> {
  /** Physical line on which the record began, from 1. */
  readonly line: number
  /** The file it came from; undefined for a pipe. */
  readonly source?: string | undefined
  /** Why it cannot be asked, when it could not be read. */
  readonly problem?: Problem | undefined
  /** The parsed value of `raw`, where a parser has it at hand already. */
  readonly fields?: F | undefined
  /** Its place in the job's records file, once it is kept. */
  readonly ordinal?: number | undefined
  /** The job that keeps it, once it is kept. */
  readonly job?: Job | undefined
  /** How many times it will have been asked with the next request; 1 unless it is retried. */
  readonly attempt?: number | undefined
  /** How often its max_tokens is doubled with the next request, as answers were cut; 0 unless it is retried for that. */
  readonly doublings?: number | undefined
}

/** What a record is made of when it is first read: most are read once, as bytes or as fields. */
export interface UnreadRecord<F extends object = Fields> {
  raw(): Buffer
  fields(): F
}

/**
 * One input record. `raw` is always one JSON object on one line: a JSONL line as it came (byte for byte, without the
 * blanks around it), a CSV row as an object of strings, anything that is no object as `{"input": ...}`. `F` is the type of
 * its fields.
 */
export class SourceRecord<F extends object = Fields> {
  readonly line: number
  readonly source: string | undefined
  readonly problem: Problem | undefined
  readonly ordinal: number | undefined
  readonly job: Job | undefined
  readonly attempt: number
  readonly doublings: number
  readonly #unread: UnreadRecord<F> | undefined
  #raw: Buffer | undefined
  #fields: F | undefined

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
    this.#fields = origin.fields
  }

  get raw(): Buffer {
    // It has one of the two.
    return (this.#raw ??= (this.#unread as UnreadRecord<F>).raw())
  }

  /** The record as an object, parsed when first read. */
  get fields(): F {
    return (this.#fields ??= this.#unread?.fields() ?? JSON.parse(this.raw.toString('utf8')))
  }
}

/** Types of the records and answers that something stands for. For the compiler alone. */
export interface Carried<F, V> {
  readonly '~carried'?: readonly [fields: F, value: V]
}

/** The type of the fields that an item of the flow carries along. */
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

/** The type of the answers that an item of the flow carries along; a rejected record has none. */
export type ValueOf<Item> = Item extends { readonly problem: Problem }
  ? never
  : '~carried' extends keyof Item
    ? Item extends Carried<object, infer V>
      ? V
      : unknown
    : unknown

/**
 * One request, ready to be sent. Without a `custom_id` the aggregator gives it one. `F` is the type of its record's fields, `V`
 * that of the answer that is asked for.
 */
export interface BatchRequest<F extends object = Fields, V = unknown> extends Carried<F, V> {
  readonly custom_id?: string | undefined
  readonly params: MessageParams
  /** The record it asks about; a request that has none is its own record. */
  readonly record?: SourceRecord<F> | undefined
}

/** A record that cannot be asked. It keeps its place in the flow and comes out as a `rejected` row. */
export interface RejectedRecord<F extends object = Fields> {
  readonly record: SourceRecord<F>
  readonly problem: Problem
}

/** A batch that is full and on disk; nothing of it has been sent. */
export interface SealedBatch<F extends object = Fields, V = unknown> extends Carried<F, V> {
  readonly state: 'sealed'
  readonly job: Job
  /** Its number within the job, from 1. */
  readonly number: number
  /** 1 for records asked the first time. */
  readonly attempt: number
  /** Records that it covers, those that were rejected included. */
  readonly records: number
  /** Requests that it sends; 0 when every record of it was rejected. */
  readonly requests: number
  /** Size of its body. */
  readonly bytes: number
}

/** A batch that the API has accepted, or one that had nothing to send. */
export interface SubmittedBatch<F extends object = Fields, V = unknown> extends Omit<
  SealedBatch<F, V>,
  'state'
> {
  readonly state: 'submitted'
  /** The API's id; null where there was nothing to send. */
  readonly id: string | null
}

/** A batch that the API has finished, or whose answers are kept already. */
export interface EndedBatch<F extends object = Fields, V = unknown> extends Omit<
  SubmittedBatch<F, V>,
  'state'
> {
  readonly state: 'ended'
}

/** Records to requests for answers of type `V`. */
export interface Asks<V> extends TypeMap {
  readonly gives: BatchRequest<FieldsOf<this['item']>, V> | RejectedRecord<FieldsOf<this['item']>>
}

/** Records to records that were written to disk and read back. */
export interface Spools extends TypeMap {
  readonly gives: SourceRecord<JsonOf<this['item']>>
}

/** Requests to batches; their records were written to disk. */
export interface Seals extends TypeMap {
  readonly gives: SealedBatch<JsonOf<this['item']>, ValueOf<this['item']>>
}

/** Sealed batches to submitted ones. */
export interface Submits extends TypeMap {
  readonly gives: SubmittedBatch<FieldsOf<this['item']>, ValueOf<this['item']>>
}

/** Submitted batches to ended ones. */
export interface Ends extends TypeMap {
  readonly gives: EndedBatch<FieldsOf<this['item']>, ValueOf<this['item']>>
}

export type JsonOf<Item> = Jsonify<FieldsOf<Item>> extends infer F extends object ? F : Fields

/** Ended batches to the results of their records. */
export interface Fetches extends TypeMap {
  readonly gives: RecordResult<FieldsOf<this['item']>, ValueOf<this['item']>>
}

export type { Result, Status } from './results/result.ts'
