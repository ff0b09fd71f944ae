// In the order a record meets them.
export { parseCsv, type CsvOptions as ParseCsvOptions } from './parse/csv.ts'
export { parseJsonl, type JsonlOptions as ParseJsonlOptions } from './parse/jsonl.ts'
export { parseJson, type JsonOptions as ParseJsonOptions } from './parse/json.ts'
export { parseText, type TextOptions as ParseTextOptions } from './parse/text.ts'
export type { InputNote, NoteOptions } from './parse/note.ts'
export { parse, type InputFormat, type ParseOptions } from './parse/parse.ts'
export type { Guess, GuessedFormat } from './parse/guess.ts'
export { unpack, type UnpackOptions } from './parse/unpack.ts'
export { attachedFile, parseFiles, type FilesOptions as ParseFilesOptions } from './parse/files.ts'
export { keep, type KeepOptions } from './job/keep.ts'
export { template } from './template/template.ts'
export { cacheWarning } from './template/cache-minimum.ts'
export type { PartialParams, TemplateOptions } from './template/options.ts'
export { attachFiles, type Attachment, type AttachOptions } from './template/attach.ts'
export { aggregate, type AggregateOptions } from './aggregate/aggregate.ts'
export { submit, type SubmitOptions } from './submit/submit.ts'
export { awaitEnd, type AwaitEndOptions } from './await/await-end.ts'
export { inputOrder, type InputOrderOptions } from './order/input-order.ts'
export { fetchResults, type FetchResultsOptions } from './results/fetch-results.ts'
export { retry, type RetryOptions } from './retry/retry.ts'
export { writeJsonl, type JsonlOptions as WriteJsonlOptions } from './write/jsonl.ts'
export { writeCsv, writeTsv, type CsvOptions as WriteCsvOptions } from './write/csv.ts'
export { writeText } from './write/text.ts'
export { writeRaw, type RawOptions as WriteRawOptions } from './write/raw.ts'
export { divide, type DivideOptions } from './write/divide.ts'

export { chain, each, from } from './chain.ts'
export { stage, type Given, type Stage } from './stage.ts'
export { openJob, type JobOptions } from './job/open.ts'
export type { Clock } from './clock.ts'
export type { Job } from './job/job.ts'
export type { Counts, JobEvent } from './job/event.ts'
export type { BatchState, JobState, Phase } from './job/state.ts'
export type { RunEvent } from './job/run-event.ts'

export {
  SourceRecord,
  type BatchRequest,
  type EndedBatch,
  type MessageParams,
  type Problem,
  type RecordOrigin,
  type RejectedRecord,
  type SealedBatch,
  type SubmittedBatch,
  type UnreadRecord,
} from './flow.ts'
export { Result } from './results/result.ts'
export type { JsonSchema } from './schema/load.ts'
export type { Status } from './results/status.ts'
export { BatchStreamError, type ErrorCode, type Place } from './errors.ts'
