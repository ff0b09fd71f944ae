// takes: Result
// gives: bytes, the API's own result lines
// next: a file, or stdout
import { callSync } from '../../core/assert-sync.ts'
import { wrongOption } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import type { Stage } from '../../core/stage.ts'
import { rowStream } from './row-stream.ts'

/** Options of `writeRaw`. */
export interface WriteRawOptions {
  /** Called with each result for which the API sent no line; these are left out. @default none */
  readonly onMissing?: ((result: Result) => void) | undefined
}

/**
 * Writes the API's own result lines, byte for byte.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function writeRaw(options: WriteRawOptions = {}): Stage<Result<object>, Buffer> {
  const { onMissing } = options
  if (onMissing !== undefined && typeof onMissing !== 'function')
    throw wrongOption('onMissing', 'a function', onMissing)
  return rowStream(result => {
    const row = rawRow(result)
    if (!row && onMissing) callSync('onMissing', onMissing, result)
    return row
  })
}

/** A row of `writeRaw` without the stream; undefined if the API sent no line. */
export function rawRow(result: Result): Buffer | undefined {
  return result.raw ? Buffer.concat([result.raw, NEWLINE]) : undefined
}

const NEWLINE = Buffer.from('\n')
