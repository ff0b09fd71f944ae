import { isFull } from '../aggregate/policy.ts'
import { IdSet } from '../aggregate/id-set.ts'
import { each } from '../chain.ts'
import type { BatchRequest, RejectedRecord, SourceRecord } from '../flow.ts'
import { BETWEEN_BYTES, FRAME_BYTES } from '../job/batch-files.ts'
import type { Stage } from '../stage.ts'
import { attacher } from '../template/attach.ts'
import type { TemplateOptions } from '../template/options.ts'
import { requestMaker } from '../template/request.ts'
import type { Context } from './context.ts'
import { EXIT } from './exit-code.ts'
import type { Ending } from './finish.ts'
import { invalidCounter } from './guard.ts'
import { print } from './print.ts'
import type { Settings } from './settings.ts'
import { whole } from './values.ts'
import { pricesOf } from './money.ts'
import { Estimate } from '../money/estimate.ts'

/** A custom_id is as long as this, so that the sizes are right. */
const SAMPLE_ID = '0000000000-1-zzzzz'

/** Reads, renders, checks and counts as a run does, and shows the first requests; opens no socket. */
export async function dryRun(
  { flags, io, talk }: Context,
  settings: Settings,
  options: TemplateOptions,
  records: Stage<never, SourceRecord>,
): Promise<Ending> {
  const text = flags.text('show')
  const show = text === undefined ? 0 : whole('--show', text, 1)
  const onlyShow = show > 0 && !flags.has('dry-run')
  const askOf = asker(options)
  const tooManyBad = invalidCounter(settings.maxInvalid)
  const batches = new BatchCounter({ count: settings.batchSize, bytes: settings.batchBytes })
  const estimate = new Estimate({ priceOf: pricesOf(settings) })
  const total = { records: 0, rejected: 0, requests: 0 }
  for await (const record of each(records)) {
    total.records += 1
    const asked = await askOf(record)
    const isBad = 'problem' in asked
    const error = tooManyBad(isBad ? asked : undefined)
    if (error) throw error
    if (isBad) {
      total.rejected += 1
      talk.detail(`line ${record.line}: ${asked.problem.message}`)
      continue
    }
    const { custom_id, params } = asked
    const request = { ...(custom_id !== undefined && { custom_id }), params }
    if (total.requests < show) await print(io.stdout, `${JSON.stringify(request)}\n`)
    total.requests += 1
    if (onlyShow && total.requests === show) break
    batches.add(Buffer.byteLength(JSON.stringify({ custom_id: SAMPLE_ID, ...request })))
    estimate.add(params, JSON.stringify(params))
  }
  const { count, bytes } = batches
  if (!onlyShow) {
    talk.say(
      `dry run, nothing was sent: ${total.records} records, ${total.requests} requests in ${count} batches, ${bytes} bytes; ${total.rejected} records cannot be asked`,
    )
    if (total.requests > 0) talk.say(`estimate: ${estimate.describe()}`)
  }
  return { code: total.rejected === 0 ? EXIT.answered : EXIT.someFailed }
}

/** What a run would ask of a record, ids that are taken already told as a run tells them. */
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
    const message = `another record has the custom_id ${asked.custom_id}; an id must be unique`
    return { record, problem: { type: 'duplicate_custom_id', message } }
  }
}

/** How many batches requests of these sizes would make. */
class BatchCounter {
  readonly #limits: { readonly count: number; readonly bytes: number }
  #open = { requests: 0, bytes: FRAME_BYTES, records: 0 }
  count = 0
  bytes = 0

  constructor(limits: { readonly count: number; readonly bytes: number }) {
    this.#limits = limits
  }

  add(bytes: number): void {
    if (this.count === 0 || isFull(this.#open, bytes, this.#limits)) {
      this.count += 1
      this.#open = { requests: 0, bytes: FRAME_BYTES, records: 0 }
    }
    const { requests, bytes: before, records } = this.#open
    this.#open = {
      requests: requests + 1,
      bytes: before + BETWEEN_BYTES + bytes,
      records: records + 1,
    }
    this.bytes += bytes
  }
}
