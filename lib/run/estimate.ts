import { wrongOption } from '../core/errors.ts'
import type { Fields } from '../core/jsonify.ts'
import { wellFormed } from '../core/json/well-formed.ts'
import type { AnswerSchema } from '../core/schema/answer-schema.ts'
import { Estimate, type EstimateFigures } from '../cost/estimate.ts'
import { partsOf } from '../cost/parts.ts'
import type { ObjectItems, RecordFields } from '../stages/parse/records.ts'
import { attacher } from '../stages/template/attach.ts'
import { requestMaker } from '../stages/template/request.ts'
import { BatchCounter } from './batch-counter.ts'
import { isBad } from './guard.ts'
import { batchSettings, pricesOf, type EstimateOptions } from './options.ts'
import { recordsIn, templateOf } from './run-batches.ts'

/** What a run would send, and its expected cost. */
export interface RunEstimate extends EstimateFigures {
  /** Records of the source. */
  readonly records: number
  /** Records that cannot be sent: a missing field, an empty prompt, an invalid parameter. */
  readonly rejected: number
  /** Failed rows of an earlier run. */
  readonly skipped: number
  /** Batches of the first attempt; retries add more. */
  readonly batches: number
  /** Bytes of all requests. */
  readonly bytes: number
}

/** As long as a real custom_id, so that sizes are right. */
const SAMPLE_ID = '0000000000-1-zzzzz'

/**
 * Estimates what `runBatches` with the same source and options would send and cost. It reads the whole source, sends
 * nothing and needs no client; answers that `reuse` would take are counted as sent. Tokens are estimated from bytes; `input_error` is the relative error. Dollars are null if
 * the price of a model is unknown.
 *
 * @throws BatchStreamError `CBS_OPTION` for invalid options, `CBS_STAGE` if a user's function throws
 */
export async function estimate<T, S extends AnswerSchema | undefined = undefined>(
  source: ObjectItems<T>,
  options: EstimateOptions<RecordFields<T>, S>,
): Promise<RunEstimate> {
  if (typeof options !== 'object' || options === null)
    throw wrongOption('options', 'an object such as { prompt }', options)
  // The compiler has checked its functions against the records of the source.
  const checked = options as unknown as EstimateOptions<Fields>
  const { batchSize: count, batchBytes: bytes } = batchSettings(checked)
  const template = templateOf(checked)
  const requestOf = requestMaker(template)
  const attach = attacher(template)
  const batches = new BatchCounter({ count, bytes })
  const sum = new Estimate(pricesOf(checked))
  const total = { records: 0, rejected: 0, skipped: 0 }
  for await (const record of recordsIn(source)) {
    total.records += 1
    const made = requestOf(record)
    const asked = attach ? await attach(made) : made
    if ('problem' in asked) {
      if (isBad(asked)) total.rejected += 1
      else total.skipped += 1
      continue
    }
    const params = wellFormed(asked.params)
    const json = JSON.stringify(params)
    const { custom_id = SAMPLE_ID } = asked
    batches.add(Buffer.byteLength(JSON.stringify({ custom_id, params })))
    sum.add(params, json, partsOf(params, json))
  }
  return { ...total, batches: batches.count, bytes: batches.bytes, ...sum.figures() }
}
