// The errors of input that is passed to a job again.
import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'

/** A job accepts input from one source while it is open. */
export function secondInput(name: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STAGE',
    `job ${name} has already received its input: close the job, open it again and pass the input from its start; its records are kept`,
  )
}

/** A replayed record differs from the spooled one. */
export function changedInput(
  name: string,
  ordinal: number,
  record: SourceRecord,
): BatchStreamError {
  const where =
    record.source === undefined ? `line ${record.line}` : `${record.source}, line ${record.line}`
  return new BatchStreamError(
    'CBS_INPUT',
    `the input has changed since job ${name} started: record ${ordinal + 1} (${where}) differs; nothing was sent. Pass the same input, or start a new job with another \`name\``,
    { place: { source: record.source, line: record.line } },
  )
}

/** The job's requests were made with other `template` options. */
export function changedTemplate(name: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_INPUT',
    `the template has changed since job ${name} started: its prompt, model, schema or other parameters differ; nothing was sent. Use the same options, or another job name`,
  )
}

/** The input has fewer records than the job. */
export function shorterInput(name: string, got: number, known: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_INPUT',
    `the input has changed since job ${name} started: it has ${got} records now and had at least ${known}. Pass the same input, or start a new job with another \`name\``,
  )
}
