import { BatchStreamError } from '../../core/errors.ts'
import { StageTransform } from '../../core/stage.ts'

type Written = ((error: Error | null | undefined) => void) | undefined

/**
 * A stage that takes bytes. Of anything else Node throws out of `write`, and that is past the pipeline where a stream is
 * piped into it: here it ends the stage, and the pipeline with it.
 */
export class ByteStream extends StageTransform {
  override write(chunk: unknown, encoding?: BufferEncoding | Written, done?: Written): boolean {
    // Node itself finds out which of the two has come.
    if (isBytes(chunk)) return super.write(chunk, encoding as BufferEncoding, done)
    this.destroy(
      new BatchStreamError(
        'CBS_STAGE',
        'a parse stage takes bytes, and was given something else: put it first, behind a file, a pipe or Buffers',
      ),
    )
    return false
  }
}

function isBytes(chunk: unknown): boolean {
  return typeof chunk === 'string' || ArrayBuffer.isView(chunk)
}
