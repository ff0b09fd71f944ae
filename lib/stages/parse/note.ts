import { callSync } from '../../core/assert-sync.ts'

/** A remark on how an input is read. Nothing is wrong with it, and reading continues. */
export interface InputNote {
  /**
   * A stable word: `renamed_columns` for a CSV header with unnamed or duplicate columns, `delimiter` for a CSV delimiter that was
   * detected and is no comma, `trailing_bytes` for bytes behind a gzip that are left out.
   */
  readonly type: 'renamed_columns' | 'delimiter' | 'trailing_bytes'
  /** A sentence for the user, with the place. */
  readonly message: string
}

/** What every stage that remarks on its input takes. */
export interface NoteOptions {
  /** Called with each remark on how the input is read, before the records that it concerns. */
  readonly onNote?: ((note: InputNote) => void) | undefined
}

/**
 * Calls the user's function.
 *
 * @throws BatchStreamError `CBS_STAGE` where it throws or gives a promise
 */
export function tellNote({ onNote }: NoteOptions, note: InputNote): void {
  if (onNote) callSync('onNote', onNote, note)
}

/**
 * Calls the user's function with the names of columns.
 *
 * @throws BatchStreamError `CBS_STAGE` where it throws or gives a promise
 */
export function tellHeader(
  { onHeader }: { readonly onHeader?: ((columns: readonly string[]) => void) | undefined },
  columns: readonly string[],
): void {
  if (onHeader) callSync('onHeader', onHeader, columns)
}
