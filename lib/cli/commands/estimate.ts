import { BatchStreamError } from '../../core/errors.ts'
import type { MessageParams } from '../../core/flow.ts'
import { GUESS } from '../../cost/calibration.ts'
import type { EstimateFigures } from '../../cost/estimate.ts'
import { Sample } from '../../cost/sample.ts'
import { cacheWarning } from '../../stages/template/cache-minimum.ts'
import { withInput } from '../checked-input.ts'
import { clientOf } from '../client.ts'
import type { Context } from '../context.ts'
import { countTokens } from '../../api/count-tokens.ts'
import { tableFor } from '../dry-run.ts'
import { freeCall } from '../free-call.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { inFlags } from '../in-flags.ts'
import { print } from '../print.ts'
import { checkReuse, previewReuse } from '../reuse.ts'
import { settingsOf, type Settings } from '../settings.ts'
import { shardIn } from '../shard-flags.ts'
import { rowsOfRun } from '../shards.ts'
import { paceOf, templateOptions } from '../stages.ts'
import { describePreview, previewRun } from '../preview-run.ts'

/** Estimates the cost of a run. Opens no socket without --exact. */
export async function estimate(context: Context): Promise<Ending> {
  const { flags, io, talk } = context
  const shard = shardIn(flags, io.env)
  const settings = { ...(await settingsOf(flags, io.env)), ...(shard && { shard }) }
  // It accepts the flags of a run, so invalid values of them are errors here too.
  const rows = rowsOfRun(flags, shard)
  paceOf(flags)
  await checkReuse(context, settings)
  const template = await templateOptions(settings, talk)
  const warning = cacheWarning(template)
  if (warning !== undefined) talk.info(`--cache: ${warning}`)
  const sample = flags.has('exact') ? await sampler(context, settings) : undefined
  return await withInput(context, settings, template, async ({ first, stream }, reading) => {
    const table = tableFor(rows, settings, reading, first)
    const reusing = await previewReuse(context, settings)
    const { earlier } = reusing ?? {}
    const preview = await previewRun(stream, {
      ...{ settings, template, talk, sample, table, earlier },
    }).finally(() => reusing?.close())
    const calibration = await sample?.calibrate()
    const counted = sample?.counted
    const { records, rejected, skipped, batches, bytes, reused } = preview
    const figures = preview.estimate.figures(calibration)
    const said = flags.has('json')
      ? JSON.stringify({
          ...{ records, rejected, skipped, batches, bytes, reused, ...figures },
          sample: counted?.requests ?? null,
        })
      : [
          describePreview(preview),
          `input: ${inputOf(figures, counted)}`,
          `answers: ${figures.tokens.output} tokens expected, ${figures.tokens.output_worst} at most`,
          `cost: ${inFlags(preview.estimate.dollars(calibration ?? GUESS))}`,
        ].join('\n')
    await print(io.stdout, `${said}\n`)
    if (reading.broken) throw reading.broken
    return { code: rejected + skipped === 0 ? EXIT.answered : EXIT.someFailed }
  })
}

/** A sample for the API's token counter. A rejected request is left out and reported. */
async function sampler(context: Context, settings: Settings): Promise<Sample> {
  const { flags, io, talk } = context
  const client = await clientOf(flags, io, { job: settings })
  const free = freeCall(context)
  let isSaid = false
  const count = async (params: MessageParams): Promise<number | undefined> => {
    const counted = await countTokens(client, params, free)
    if ('tokens' in counted) return counted.tokens
    const { kind, message, cause } = counted.failure
    if (kind === 'notFound')
      throw new BatchStreamError('CBS_API', `--exact cannot count tokens: ${message}`, { cause })
    if (!isSaid) talk.info(`a request of the sample would be rejected: ${message}`)
    isSaid = true
    return undefined
  }
  return new Sample({ count })
}

function inputOf(
  { tokens, unknown }: EstimateFigures,
  counted: Sample['counted'] | undefined,
): string {
  const share = `± ${Math.ceil(tokens.input_error * 1000) / 10} %`
  const how = counted
    ? `counted on ${counted.requests} of ${counted.of} requests: ${share}`
    : `estimated from bytes: ${share}; --exact counts a sample`
  const cached = tokens.cached === 0 ? '' : `, ${tokens.cached} of them cached`
  const more =
    unknown === 0 ? '' : `; without the images, PDFs and API content of ${unknown} requests`
  return `${tokens.input} tokens${cached} (${how})${more}`
}
