import type { SizedShard } from '../shard.ts'

/** The counts of a batch, as the API returns them. */
export interface Counts {
  /** Requests without an answer so far. */
  readonly processing: number
  /** Requests that were answered; only they are billed. */
  readonly succeeded: number
  /** Requests that failed. */
  readonly errored: number
  /** Requests that were not answered because the batch was canceled. */
  readonly canceled: number
  /** Requests that were not answered within 24 hours. */
  readonly expired: number
}

/** The number of requests of a batch: the sum of its counts. */
export function countOf(counts: Counts): number {
  return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
}

/** The files of a sealed batch besides its body. */
export type SummedFile = 'members' | 'rejected' | 'ids' | 'repeats' | 'keys' | 'reused'

/** A time by two clocks, in ms since 1970. */
export interface Moment {
  /** By the clock of this machine. */
  readonly at: number
  /** By the API's clock; null if it was not known. */
  readonly serverAt: number | null
}

/** Which API a batch is sent to, and as whom. */
export interface Caller {
  /** The origin of the base URL. */
  readonly origin: string
  /** A hash of the path of the base URL and of the headers that decide whose account is used, which shows whether they have changed. */
  readonly access: string
  /** The workspace that replies have named; absent if none has. */
  readonly workspace?: string
}

/** When and where the last byte of a batch may have been sent. */
export interface Armed extends Moment {
  /** Absent in the journal of an earlier version. */
  readonly by?: Caller
}

/** A sealed batch. */
export interface Sealed {
  /** Its number within the job, from 1. */
  readonly number: number
  /** 1 for the first attempt. */
  readonly attempt: number
  /** The ordinal up to which the input is covered; 0 for a retry, which covers nothing new. */
  readonly next: number
  /** The earliest record that it covers; absent for a batch without records. */
  readonly first?: number
  /** Its number of rows: requests plus rejected records. */
  readonly records: number
  /** Requests in its body. */
  readonly requests: number
  /** Size of its body in bytes. */
  readonly bytes: number
  /** SHA-256 of the body, in hex. */
  readonly hash: string
  /** CRC-32 of each of its other files. */
  readonly sums?: Readonly<Partial<Record<SummedFile, number>>>
  /** Made by another tool: its ids are not generated, and it has no records. */
  readonly foreign?: true
  /** Records of it that take the answer of an earlier job, and who gave those answers. */
  readonly reused?: {
    /** How many records. */
    readonly records: number
    /** The origin of the API and the betas. */
    readonly answeredBy: string
  }
  /** Its single request fills the prompt cache: nothing else is sent before it has ended. */
  readonly primes?: true
  /** Part of a batch that the API rejected because of some requests; it is halved until those are isolated. */
  readonly isolated?: true
}

/** A line of the journal. The state is a fold over these (state.ts). Times are ms since 1970. */
export type JobEvent =
  | {
      readonly type: 'opened'
      readonly version: number
      readonly run: string
      readonly at: number
      /** The job's part of the input; absent for the whole input. */
      readonly shard?: SizedShard
      /** Identifies the command that created it, as in job.json, which may be damaged; absent for a job of the library. */
      readonly command?: string
    }
  /** The API workspace of the job's batches. */
  | { readonly type: 'workspace'; readonly id: string }
  /** SHA-256, in hex, of the options that determine first-attempt requests (lib/stages/template/digest.ts). */
  | { readonly type: 'template'; readonly digest: string }
  /** A file that records come from; the records' index refers to it as `index`. */
  | { readonly type: 'source'; readonly index: number; readonly name: string }
  /**
   * This many records are safe on disk; `complete` once the input has ended. `broken` is the reason why it ended too early;
   * null means that it continues after all, and absence changes nothing.
   */
  | {
      readonly type: 'spooled'
      readonly records: number
      readonly bytes: number
      readonly complete: boolean
      readonly broken?: string | null
      /**
       * SHA-256, in hex, of the records since the previous event; only with a ledger, where another machine reads them
       * again.
       */
      readonly hash?: string
      /** SHA-256, in hex, of the whole input, which all shards of a job must share; only for a shard whose input has ended. */
      readonly inputHash?: string
    }
  | ({ readonly type: 'sealed' } & Sealed)
  /** A batch that the API rejected as it was, and the batches that replace it. */
  | { readonly type: 'split'; readonly number: number; readonly into: readonly Sealed[] }
  /** Its maximum cost in femtodollars, reserved under a cap until its result set is stored. */
  | { readonly type: 'reserved'; readonly number: number; readonly amount: string }
  /** The user was warned that the canary failed; resuming after that is a choice. */
  | { readonly type: 'warned'; readonly at: number }
  /** Its last byte may be sent from now on. */
  | ({ readonly type: 'armed'; readonly number: number } & Armed)
  /** The API provably did not accept it. */
  | { readonly type: 'disarmed'; readonly number: number }
  /**
   * Its create, sent at `sentAt`, failed for no stated reason (no reply, a server error, the page of a filter), or its only request was
   * refused.
   */
  | {
      readonly type: 'failed'
      readonly number: number
      readonly sentAt: number
      readonly at: number
    }
  /** A batch of the API that may be this one, found while its outcome is unknown or the API does not know its id. */
  | {
      readonly type: 'candidate'
      readonly number: number
      readonly id: string
      /** Whether the user was asked about it: only then does a decision for none of the named batches rule it out. */
      readonly named?: true
    }
  /** The run ended because only the user can decide whether the API has it: a decision that it does not counts from then on. */
  | { readonly type: 'asked'; readonly number: number }
  /** A candidate that is not this batch. */
  | { readonly type: 'ruledOut'; readonly number: number; readonly id: string }
  /**
   * The API has it. `adopted`: it was found by a search. It follows another `submitted` of the same batch if the API did not
   * know that id, or if its results were those of another batch.
   */
  | {
      readonly type: 'submitted'
      readonly number: number
      readonly id: string
      readonly at: number
      readonly adopted: boolean
      /** When the API created it, by the API; absent in the journal of an earlier version. */
      readonly createdAt?: number
      /** The origin of the API that has it, and its betas; absent where they are not known. */
      readonly answeredBy?: string
      /** Its workspace, if that is not the one of the job's other batches. */
      readonly workspace?: string
    }
  /** Since when the API replies that it does not know the batch; null once it knows it again. */
  | { readonly type: 'missing'; readonly number: number; readonly since: Moment | null }
  /** `counts` is null for a batch that the API does not know, and that no search has found. */
  | {
      readonly type: 'ended'
      readonly number: number
      readonly counts: Counts | null
      readonly resultsUrl: string | null
      readonly at: number
    }
  /** A part of its result set is safe on disk: the set ended early, and is downloaded again. */
  | {
      readonly type: 'partlyFetched'
      readonly number: number
      readonly lines: number
      readonly bytes: number
    }
  /** Its result set is verified and safe on disk: complete, or as complete as the API sends it. */
  | {
      readonly type: 'fetched'
      readonly number: number
      readonly lines: number
      readonly bytes: number
      /** Why some requests have no line. */
      readonly why: string | null
    }
  /** A later download had lines that its stored result set lacked; they were added. */
  | {
      readonly type: 'refetched'
      readonly number: number
      readonly lines: number
      readonly bytes: number
      /** Why some requests still have no line. */
      readonly why: string | null
    }
  /** Rows go to these files from the first byte; null for a stream, which gets all rows again. */
  | { readonly type: 'output'; readonly out: string | null; readonly errors: string | null }
  /** Identifies these files among later files of the same names; null if there is none, or it is unknown. */
  | { readonly type: 'outputIds'; readonly out: string | null; readonly errors: string | null }
  /** All its rows are in the outputs, which have these sizes in bytes. */
  | {
      readonly type: 'written'
      readonly number: number
      readonly out: number
      readonly errors: number
      /** SHA-256 of the last bytes of each file, in hex; absent if there are none, and in jobs of version 1. */
      readonly outTail?: string
      readonly errorsTail?: string
    }
  /** The same for rows in input order: the rows of all records below this ordinal are in the outputs. */
  | {
      readonly type: 'writtenBelow'
      readonly below: number
      readonly out: number
      readonly errors: number
      readonly outTail?: string
      readonly errorsTail?: string
    }
  /** The input columns of the output table. */
  | { readonly type: 'columns'; readonly names: readonly string[] }
  /** Every record has its row. */
  | { readonly type: 'finished'; readonly at: number }
