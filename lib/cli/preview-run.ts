import { counted } from './shown.ts'
import { IdSet } from '../stages/aggregate/id-set.ts'
import { each } from '../core/chain.ts'
import { lineOf } from '../core/errors.ts'
import type { BatchRequest, MessageParams, RejectedRecord, SourceRecord } from '../core/flow.ts'
import { keyOf } from '../core/request-key.ts'
import { FieldSet } from '../store/fields.ts'
import type { EarlierAnswers } from '../store/results/earlier-answers.ts'
import { wellFormed } from '../core/json/well-formed.ts'
import { Estimate } from '../cost/estimate.ts'
import { partsOf } from '../cost/parts.ts'
import type { Sample } from '../cost/sample.ts'
import type { Stage } from '../core/stage.ts'
import { attacher } from '../stages/template/attach.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { requestMaker } from '../stages/template/request.ts'
import { BatchCounter } from '../run/batch-counter.ts'
import { fitting } from './fits-table.ts'
import { InvalidCounter, isBad } from '../run/guard.ts'
import { pricesOf } from './money.ts'
import { responseFields } from './request-settings.ts'
import type { Settings } from './settings.ts'
import type { TableColumnsOptions } from './table-columns.ts'
import type { Talk } from './talk.ts'
import { skippedNote } from './tally.ts'

/** As long as a real custom_id, so that sizes are right. */
const SAMPLE_ID = '0000000000-1-zzzzz'

/** Number of unsent records that are named with their reasons; -v names all. */
const NAMED = 5

/** What a run would do with its input. */
export interface RunPreview {
  readonly records: number
  /** Invalid records. */
  readonly rejected: number
  /** Records that failed in an earlier run. */
  readonly skipped: number
  readonly requests: number
  /** Records that repeat another and are not sent; undefined without --dedupe. */
  readonly repeats: number | undefined
  /** Records that take the answer of an earlier job; undefined if none is searched for. */
  readonly reused: number | undefined
  readonly batches: number
  /** Bytes of all requests. */
  readonly bytes: number
  readonly estimate: Estimate
  /** The input columns of a table, if rows go to one. */
  readonly columns: readonly string[] | undefined
}

export interface PreviewOptions {
  readonly settings: Settings
  readonly template: TemplateOptions
  readonly talk: Talk
  /** Called for each request; false ends the preview. */
  readonly onRequest?: (request: Pick<BatchRequest, 'custom_id' | 'params'>) => Promise<boolean>
  readonly sample?: Sample | undefined
  /** Answers of earlier jobs. */
  readonly earlier?: EarlierAnswers | undefined
  /** What decides the columns of a table, where rows go to one. */
  readonly table?: Pick<TableColumnsOptions, 'known' | 'endless'> | undefined
}

/** Reads, renders, checks and counts like a run, one record at a time. */
export async function previewRun(
  records: Stage<never, SourceRecord>,
  { settings, template, talk, onRequest, sample, table, earlier }: PreviewOptions,
): Promise<RunPreview> {
  const askOf = asker(template)
  const counter = new InvalidCounter(settings.maxInvalid)
  const batches = new BatchCounter({ count: settings.batchSize, bytes: settings.batchBytes })
  const estimate = new Estimate(pricesOf(settings))
  const total = { records: 0, rejected: 0, skipped: 0, requests: 0 }
  const keys = settings.dedupe ? new IdSet() : undefined
  const fields = table && new FieldSet(table.known)
  let columns: ReadonlySet<string> | undefined
  const fits = (asked: BatchRequest | RejectedRecord): BatchRequest | RejectedRecord => {
    const { record } = asked
    if (!table || !fields || !record) return asked
    // The first batch of a run also depends on time, which a dry run does not have.
    if (table.known !== undefined || (table.endless && batches.count > 1)) {
      columns ??= new Set([...fields.names, ...responseFields(settings), settings.metaField])
      return fitting(asked, columns)
    }
    fields.add(record)
    return asked
  }
  const unsent = (why: string, record: SourceRecord): void => {
    const line = `not sent: ${lineOf(record)}: ${why}`
    const before = total.rejected + total.skipped - 1
    if (before < NAMED) talk.info(line)
    else talk.detail(line)
    if (before === NAMED && talk.verbosity === 0)
      talk.info('not sent: more records; -v names them all')
  }
  let repeats = 0
  let reused = 0
  let isWhole = true
  for await (const record of each(records)) {
    total.records += 1
    const asked = fits(await askOf(record))
    const error = counter.add(isBad(asked) ? asked : undefined)
    if (error) throw error
    if ('problem' in asked) {
      if (isBad(asked)) total.rejected += 1
      else total.skipped += 1
      unsent(asked.problem.message, record)
      continue
    }
    const { custom_id } = asked
    const params = wellFormed(asked.params)
    if (earlier && (await earlier.read(keyOf(JSON.stringify(params))))) {
      reused += 1
      continue
    }
    if (keys && !keys.add(JSON.stringify(params))) {
      repeats += 1
      continue
    }
    const request = { ...(custom_id !== undefined && { custom_id }), params }
    total.requests += 1
    if (onRequest && !(await onRequest(request))) {
      isWhole = false
      break
    }
    batches.add(Buffer.byteLength(JSON.stringify({ custom_id: SAMPLE_ID, ...request })))
    const wait = weigh(params, estimate, sample)
    if (wait) await wait
  }
  const error = isWhole ? counter.end() : undefined
  if (error) throw error
  return {
    ...total,
    repeats: keys && repeats,
    reused: earlier && reused,
    batches: batches.count,
    bytes: batches.bytes,
    estimate,
    columns: fields?.names,
  }
}

function weigh(
  params: MessageParams,
  estimate: Estimate,
  sample: Sample | undefined,
): Promise<void> | undefined {
  const json = JSON.stringify(params)
  const parts = partsOf(params, json)
  estimate.add(params, json, parts)
  return sample?.add(params, parts, json.length)
}

/** The counts in one line. */
export function describePreview(preview: RunPreview): string {
  const { records, requests, batches, bytes, rejected, skipped, repeats, reused } = preview
  const shared = repeats === undefined ? '' : `, ${repeats} repeat another and are not sent`
  const unsent = `${shared}${reused === undefined ? '' : `, ${reused} reused`}`
  return `${counted(records, 'record')}, ${counted(requests, 'request')} in ${counted(batches, 'batch', 'batches')}, ${counted(bytes, 'byte')}; ${counted(rejected, 'invalid record')}${unsent}${skipped === 0 ? '' : `; ${skippedNote(skipped)}`}`
}

/** Renders the requests of records, and rejects duplicate ids as a run does. */
function asker(
  options: TemplateOptions,
): (record: SourceRecord) => Promise<BatchRequest | RejectedRecord> {
  const requestOf = requestMaker(options)
  const attach = attacher(options)
  const ids = new IdSet()
  return async record => {
    const made = requestOf(record)
    const asked = attach ? await attach(made) : made
    if ('problem' in asked || asked.custom_id === undefined || ids.add(asked.custom_id))
      return asked
    const message = `another record has the custom_id ${asked.custom_id}; ids must be unique`
    return { record, problem: { type: 'duplicate_custom_id', message } }
  }
}
