// In the order a record meets them.
export { parseCsv, type CsvOptions as ParseCsvOptions } from './stages/parse/csv.ts'
export { parseJsonl, type JsonlOptions as ParseJsonlOptions } from './stages/parse/jsonl.ts'
export { parseJson, type JsonOptions as ParseJsonOptions } from './stages/parse/json.ts'
export { parseText, type TextOptions as ParseTextOptions } from './stages/parse/text.ts'
export { readParquet, type ParquetOptions as ReadParquetOptions } from './stages/parse/parquet.ts'
export { records, type ObjectItems, type RecordFields } from './stages/parse/records.ts'
export type { InputNote, NoteOptions } from './stages/parse/note.ts'
export { parse, type InputFormat, type ParseOptions } from './stages/parse/parse.ts'
export type { Guess, GuessedFormat } from './stages/parse/guess.ts'
export type { Inflater } from './stages/parse/gunzip.ts'
export type { Zlib } from './stages/parse/packed.ts'
export { unpack, type UnpackOptions } from './stages/parse/unpack.ts'
export { shard } from './stages/parse/shard.ts'
export type { Shard, SizedShard } from './core/shard.ts'
export {
  attachedFile,
  parseFiles,
  type FilesOptions as ParseFilesOptions,
} from './stages/parse/files.ts'
export { spool, type SpoolOptions } from './stages/spool/spool.ts'
export { template } from './stages/template/template.ts'
export { cacheWarning } from './stages/template/cache-minimum.ts'
export type { PartialParams, PerRecord, TemplateOptions } from './stages/template/options.ts'
export {
  attachFiles,
  type Attachment,
  type AttachOptions,
  type NamesFile,
} from './stages/template/attach.ts'
export { aggregate, type AggregateOptions } from './stages/aggregate/aggregate.ts'
export { submit, type SubmitOptions } from './stages/submit/submit.ts'
export { awaitEnd, type AwaitEndOptions } from './stages/await/await-end.ts'
export type { OwnedElsewhere } from './stages/search/search.ts'
export { inputOrder } from './stages/order/input-order.ts'
export { fetchResults, type FetchResultsOptions } from './stages/results/fetch-results.ts'
export { retry, type RetryOptions } from './stages/retry/retry.ts'
export { writeJsonl, type WriteJsonlOptions } from './stages/write/jsonl.ts'
export { writeCsv, writeTsv, type WriteCsvOptions } from './stages/write/csv.ts'
export { writeText } from './stages/write/text.ts'
export { writeRaw, type WriteRawOptions } from './stages/write/raw.ts'
export { partition, type PartitionOptions } from './stages/write/partition.ts'

export { runBatches, type BatchRun, type RowFormats, type RunCost } from './run/run-batches.ts'
export { estimate, type RunEstimate } from './run/estimate.ts'
export type { EstimateOptions, ModelPrice, RunOptions } from './run/options.ts'
export {
  openTelemetry,
  type Attributes,
  type OpenTelemetryApi,
  type OpenTelemetrySpan,
} from './telemetry/open-telemetry.ts'
export type { RunObservation, RunObserver } from './core/job/observer.ts'
export type { Backoff } from './core/backoff.ts'
export { chain, each, from, type Items } from './core/chain.ts'
export type { Fields, Jsonify } from './core/jsonify.ts'
export {
  stage,
  type CarryingStage,
  type ChainedStage,
  type Given,
  type Source,
  type Stage,
} from './core/stage.ts'
export type { AnthropicClient } from './api/client.ts'
export { openJob, type JobOptions } from './store/open.ts'
export { postgresLedger, type PostgresLedgerOptions } from './store/postgres/ledger.ts'
export type {
  LedgerConnection,
  LedgerPool,
  LedgerQueries,
  LedgerRows,
} from './store/postgres/pool.ts'
export type { SharedLedger } from './core/job/shared-ledger.ts'
export type { Clock } from './core/clock.ts'
export type { Job } from './core/job/job.ts'
export type {
  Armed,
  Caller,
  Counts,
  JobEvent,
  Moment,
  Sealed,
  SummedFile,
} from './core/job/event.ts'
export type { BatchState, JobState, Phase, RecordSpan } from './core/job/state.ts'
export type { RunEvent, TransientEvent } from './core/job/run-event.ts'

export {
  SourceRecord,
  type BatchRequest,
  type EndedBatch,
  type MessageParams,
  type Problem,
  type RecordJson,
  type RecordOrigin,
  type RejectedRecord,
  type SealedBatch,
  type SubmittedBatch,
  type UnreadRecord,
} from './core/flow.ts'
export { Result, type RecordResult, type ResultJson } from './core/results/result.ts'
export type {
  AnswerOf,
  AnswerSchema,
  ParseableFormat,
  StandardJsonSchema,
} from './core/schema/answer-schema.ts'
export type { JsonSchema } from './core/schema/load.ts'
export type { Status } from './core/results/status.ts'
export { BatchStreamError, type ErrorCode, type ErrorDetails, type Place } from './core/errors.ts'

// The types that signatures are made of: a declaration of yours may have to name them.
export type {
  ChainMap,
  EndFor,
  EndOf,
  HeadOf,
  IsKnown,
  Linked,
  LinkedFor,
  LinkedTo,
  Stages,
} from './core/chain.ts'
export type {
  Asks,
  Carried,
  Ends,
  FieldsOf,
  JsonOf,
  Seals,
  Spools,
  Submits,
  TemplateOutput,
  ValueOf,
} from './core/flow.ts'
export type { AnyOr, Callable, FieldsFrom, Flat, Kept, Lost, NullFor } from './core/jsonify.ts'
export type { Fetches } from './core/results/result.ts'
export type { MemberOf } from './core/schema/answer-schema.ts'
export type { InputOf, OutputFor, OutputOf, SameType, TypeMap, TypeMapOf } from './core/stage.ts'
export type { NeedsObjects, NeedsParser } from './stages/parse/records.ts'
export type { MaxTokensLimit } from './stages/template/max-tokens.ts'
export type { AnyTemplateOptions } from './stages/template/options.ts'
