/** What a batch has files of; `repeats`, `reused` and `answers` only if the job has such records. */
export type BatchFile =
  | 'body'
  | 'members'
  | 'rejected'
  | 'ids'
  | 'results'
  | 'lines'
  | 'download'
  | 'part'
  | 'repeats'
  | 'keys'
  | 'reused'
  | 'answers'

/** The files that are complete before a batch is sealed. */
export const GATHERED: readonly BatchFile[] = [
  'body',
  'members',
  'rejected',
  'ids',
  'repeats',
  'keys',
  'reused',
  'answers',
]

/** The path of a batch's file. */
export function batchPath(folder: string, number: number, what: BatchFile): string {
  return `${folder}/batches/${number}.${what}`
}
