import { BatchStreamError } from '../../core/errors.ts'
import { StageTransform } from '../../core/stage.ts'

type Written = ((error: Error | null | undefined) => void) | undefined

/**
 * A stage that takes bytes. For anything else Node would throw out of `write`, bypassing the pipeline; here it ends the
 * stage, and the pipeline with it.
 */
export class ByteStream extends StageTransform {
  override write(chunk: unknown, encoding?: BufferEncoding | Written, done?: Written): boolean {
    // Node itself distinguishes the two forms.
    if (isBytes(chunk)) return super.write(chunk, encoding as BufferEncoding, done)
    this.destroy(
      new BatchStreamError(
        'CBS_STAGE',
        'a parse stage takes bytes, but received something else: put it first, after a file, a pipe or Buffers',
      ),
    )
    return false
  }
}

function isBytes(chunk: unknown): boolean {
  return typeof chunk === 'string' || ArrayBuffer.isView(chunk)
}
