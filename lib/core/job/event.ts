import type { SizedShard } from '../shard.ts'

/** Tallies of a batch as the API gives them. */
export interface Counts {
  readonly processing: number
  readonly succeeded: number
  readonly errored: number
  readonly canceled: number
  readonly expired: number
}

/** How many requests a batch has: the five tallies always add up to it. */
export function countOf(counts: Counts): number {
  return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
}

/** The files of a sealed batch besides its body. */
export type SummedFile = 'members' | 'rejected' | 'ids' | 'repeats' | 'keys'

/** A batch as it was sealed. */
export interface Sealed {
  readonly number: number
  /** 1 for records asked the first time. */
  readonly attempt: number
  /** The input is covered up to this ordinal; 0 for a retry, which covers nothing new. */
  readonly next: number
  /** The earliest record that it covers; absent where no records stand behind it. */
  readonly first?: number
  /** Rows that it will give: its requests and the records that were rejected. */
  readonly records: number
  /** Requests in its body. */
  readonly requests: number
  readonly bytes: number
  /** SHA-256 of the body, in hex. */
  readonly hash: string
  /** CRC-32 of each other file that it has. */
  readonly sums?: Readonly<Partial<Record<SummedFile, number>>>
  /** Made by some other tool: its ids are not ours, and no records stand behind them. */
  readonly foreign?: true
  /** Its one answer fills the prompt cache: nothing else is sent before it has ended. */
  readonly primes?: true
  /** Part of a batch that the API refused for some of its requests only: it is halved until those are alone. */
  readonly isolated?: true
}

/** What a journal line says. State is a fold over these (state.ts). Times are ms since 1970. */
export type JobEvent =
  | {
      readonly type: 'opened'
      readonly version: number
      readonly run: string
      readonly at: number
      /** The part of the input that the job takes; absent where it takes all of it. */
      readonly shard?: SizedShard
    }
  /** The API's workspace that this job's batches live in. */
  | { readonly type: 'workspace'; readonly id: string }
  /** SHA-256, in hex, of the options that the requests of the first attempt are made with (lib/stages/template/digest.ts). */
  | { readonly type: 'asked'; readonly digest: string }
  /** A file that records come from; `index` is what the records' index calls it. */
  | { readonly type: 'source'; readonly index: number; readonly name: string }
  /**
   * So many records are safe on disk; `complete` once the input has ended. `broken` says why it ended too early; null says that
   * it continues after all, and without it nothing changes.
   */
  | {
      readonly type: 'kept'
      readonly records: number
      readonly bytes: number
      readonly complete: boolean
      readonly broken?: string | null
      /** SHA-256, in hex, of the records since the event before; only with a ledger, where another machine reads them again. */
      readonly hash?: string
    }
  | ({ readonly type: 'sealed' } & Sealed)
  /** A batch the API would not take as it was: others take its place. */
  | { readonly type: 'split'; readonly number: number; readonly into: readonly Sealed[] }
  /** The most that it can cost, in femtodollars: kept free under a cap until its result set is here. */
  | { readonly type: 'reserved'; readonly number: number; readonly amount: string }
  /** The user was told that the canary failed; who goes on with the job now has chosen to. */
  | { readonly type: 'warned'; readonly at: number }
  /** Its last byte may go out from now on. `serverAt` is the API's own clock, where an answer has told it. */
  | {
      readonly type: 'armed'
      readonly number: number
      readonly at: number
      readonly serverAt: number | null
    }
  /** It is proven that the API did not take it. */
  | { readonly type: 'disarmed'; readonly number: number }
  /** A batch of the API's that may be this one, seen while its outcome is unknown. */
  | { readonly type: 'candidate'; readonly number: number; readonly id: string }
  /** A candidate that is proven foreign. */
  | { readonly type: 'ruledOut'; readonly number: number; readonly id: string }
  | {
      readonly type: 'submitted'
      readonly number: number
      readonly id: string
      readonly at: number
      readonly adopted: boolean
    }
  /** `counts` is null for a batch that the API no longer knows. */
  | {
      readonly type: 'ended'
      readonly number: number
      readonly counts: Counts | null
      readonly resultsUrl: string | null
      readonly at: number
    }
  /** Its result set is whole, verified and safe on disk. */
  | {
      readonly type: 'fetched'
      readonly number: number
      readonly lines: number
      readonly bytes: number
      /** Why requests without a line have none. */
      readonly why: string | null
    }
  /** Rows go to these files from now on, from their first byte; null for a stream that is told all of them anew. */
  | { readonly type: 'output'; readonly out: string | null; readonly errors: string | null }
  /** What tells these files from others that get their names later; null where there is none, or nothing can tell it. */
  | { readonly type: 'outputIds'; readonly out: string | null; readonly errors: string | null }
  /** All its rows stand in the outputs, which are so many bytes long. */
  | {
      readonly type: 'written'
      readonly number: number
      readonly out: number
      readonly errors: number
      /** SHA-256 of the last bytes of each file, in hex; absent where there is none, and in jobs of version 1. */
      readonly outTail?: string
      readonly errorsTail?: string
    }
  /** The same for rows in input order: those of all records below this ordinal stand in the outputs. */
  | {
      readonly type: 'writtenBelow'
      readonly below: number
      readonly out: number
      readonly errors: number
      readonly outTail?: string
      readonly errorsTail?: string
    }
  /** The input columns of the table that rows are written to. */
  | { readonly type: 'columns'; readonly names: readonly string[] }
  /** Every record has its row. */
  | { readonly type: 'finished'; readonly at: number }
