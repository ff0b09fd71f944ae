import type Anthropic from '@anthropic-ai/sdk'
import type { Job } from './job/job.ts'

/** The body of one Messages request, as the official SDK types it. */
export type MessageParams = Anthropic.Messages.Batches.BatchCreateParams.Request['params']

/** Why a record cannot be asked, or has no answer: a short type and a sentence. */
export interface Problem {
  readonly type: string
  readonly message: string
}

/** What a record is made of besides its bytes. */
export interface RecordOrigin {
  /** Physical line on which the record began, from 1. */
  readonly line: number
  /** The file it came from; undefined for a pipe. */
  readonly source?: string | undefined
  /** Why it cannot be asked, when it could not be read. */
  readonly problem?: Problem | undefined
  /** The parsed value of `raw`, where a parser has it at hand already. */
  readonly fields?: Readonly<Record<string, unknown>> | undefined
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
export interface UnreadRecord {
  raw(): Buffer
  fields(): Readonly<Record<string, unknown>>
}

/**
 * One input record. `raw` is always one JSON object on one line: a JSONL line as it came (byte for byte, without the
 * blanks around it), a CSV row as an object of strings, anything that is no object as `{"input": ...}`.
 */
export class SourceRecord {
  readonly line: number
  readonly source: string | undefined
  readonly problem: Problem | undefined
  readonly ordinal: number | undefined
  readonly job: Job | undefined
  readonly attempt: number
  readonly doublings: number
  readonly #unread: UnreadRecord | undefined
  #raw: Buffer | undefined
  #fields: Readonly<Record<string, unknown>> | undefined

  constructor(raw: Buffer | UnreadRecord, origin: RecordOrigin) {
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
    return (this.#raw ??= (this.#unread as UnreadRecord).raw())
  }

  /** The record as an object, parsed when first read. */
  get fields(): Readonly<Record<string, unknown>> {
    return (this.#fields ??= this.#unread?.fields() ?? JSON.parse(this.raw.toString('utf8')))
  }
}

/** One request, ready to be sent. Without a `custom_id` the aggregator gives it one. */
export interface BatchRequest {
  readonly custom_id?: string | undefined
  readonly params: MessageParams
  /** The record it asks about; a request that has none is its own record. */
  readonly record?: SourceRecord | undefined
}

/** A record that cannot be asked. It keeps its place in the flow and comes out as a `rejected` row. */
export interface RejectedRecord {
  readonly record: SourceRecord
  readonly problem: Problem
}

/** A batch that is full and on disk; nothing of it has been sent. */
export interface SealedBatch {
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
export interface SubmittedBatch extends Omit<SealedBatch, 'state'> {
  readonly state: 'submitted'
  /** The API's id; null where there was nothing to send. */
  readonly id: string | null
}

/** A batch that the API has finished, or whose answers are kept already. */
export interface EndedBatch extends Omit<SubmittedBatch, 'state'> {
  readonly state: 'ended'
}

export type { Result, Status } from './results/result.ts'
