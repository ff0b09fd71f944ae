// The errors of input that is fed to a job again.
import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'

/** A job takes its input from one place for as long as it is open. */
export function fedAlready(name: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STAGE',
    `job ${name} has already received its input: close the job, open it again and pass the input from its start; its records are kept`,
  )
}

/** A record is not what the job has of it. */
export function changedInput(
  name: string,
  ordinal: number,
  record: SourceRecord,
): BatchStreamError {
  const where =
    record.source === undefined ? `line ${record.line}` : `${record.source}, line ${record.line}`
  return new BatchStreamError(
    'CBS_INPUT',
    `the input has changed since job ${name} started: record ${ordinal + 1} (${where}) differs; nothing was sent. Pass the same input, or start a new job with --fresh`,
    { place: { source: record.source, line: record.line } },
  )
}

/** The requests are made with other options of `template` than those that the job has. */
export function changedTemplate(name: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_INPUT',
    `the template has changed since job ${name} began: its prompt, model, schema or other parameters are not what they were; nothing was sent. Give the same options, or another job name for another question`,
  )
}

/** The job has records that did not come. */
export function shorterInput(name: string, got: number, known: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_INPUT',
    `the input has changed since job ${name} started: it has ${got} records now and had at least ${known}. Pass the same input, or start a new job with --fresh`,
  )
}
