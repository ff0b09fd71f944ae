import { BatchStreamError } from '../core/errors.ts'
import { DEFAULT_RECORD_BYTES } from '../core/limits.ts'
import type { SizedShard } from '../core/shard.ts'
import { formatByName } from '../stages/parse/guess.ts'
import type { Flags } from './flags.ts'
import { tableIn, type TableSettings } from './table-flags.ts'
import { countOrShare, oneOf, size, whole, withoutUndefined } from './values.ts'

const FROM = [
  'auto',
  'csv',
  'tsv',
  'jsonl',
  'json',
  'text',
  'parquet',
  'files',
  'requests',
] as const

/** Which records are read, and from where. */
export interface InputSettings extends TableSettings {
  readonly input: readonly string[]
  readonly from: (typeof FROM)[number]
  readonly jsonPath?: string
  readonly limit?: number
  /** The part of the input that this worker processes. */
  readonly shard?: SizedShard
  readonly skip: number
  /** The size of a random sample, and its seed. */
  readonly sample?: number
  readonly seed?: string
  readonly maxInvalid: { readonly count: number } | { readonly share: number }
  readonly maxRecordBytes: number
}

export function inputIn(flags: Flags): InputSettings {
  const settings = {
    input: flags.texts('input').length > 0 ? flags.texts('input') : ['-'],
    from: flags.read('from', (flag, text) => oneOf(flag, text, FROM)) ?? 'auto',
    ...tableIn(flags),
    jsonPath: flags.text('json-path'),
    limit: flags.read('limit', (flag, text) => whole(flag, text, 1)),
    skip: flags.read('skip', (flag, text) => whole(flag, text, 0)) ?? 0,
    sample: flags.read('sample', (flag, text) => whole(flag, text, 1)),
    seed: flags.text('seed'),
    maxInvalid: maxInvalidOf(flags) ?? { count: 1000 },
    maxRecordBytes:
      flags.read('max-record-bytes', (flag, text) => size(flag, text, 1)) ?? DEFAULT_RECORD_BYTES,
  }
  checkJsonPath(flags, settings)
  if (settings.seed !== undefined && settings.sample === undefined)
    throw new BatchStreamError('CBS_OPTION', '--seed is the seed of --sample: give both')
  return withoutUndefined(settings)
}

/** Other formats would ignore the path, and a file of another format is no JSON document. */
function checkJsonPath(flags: Flags, { from, input }: Pick<InputSettings, 'from' | 'input'>): void {
  if (!flags.given('json-path')) return
  const isForJson = (format: string | undefined): boolean =>
    format === undefined || format === 'json'
  const named =
    from === 'auto' ? input.find(name => !isForJson(formatByName(name)?.format)) : undefined
  if (from === 'auto' ? named === undefined : isForJson(from)) return
  throw new BatchStreamError(
    'CBS_OPTION',
    `--json-path is for JSON documents; it cannot be combined with ${named === undefined ? `--from ${from}` : `${named}; if that is JSON, add --from json`}`,
  )
}

export function maxInvalidOf(flags: Flags): InputSettings['maxInvalid'] | undefined {
  const text = flags.text('max-invalid')
  return text === undefined ? undefined : countOrShare('--max-invalid', text)
}
