import { callSync } from '../../core/assert-sync.ts'

/** A note on how an input is read. It is not a problem, and reading continues. */
export interface InputNote {
  /**
   * A stable code: `renamed_columns` for a CSV header with unnamed or duplicate columns, `delimiter` for a detected CSV
   * delimiter other than a comma, `trailing_bytes` for ignored bytes after gzip data.
   */
  readonly type: 'renamed_columns' | 'delimiter' | 'trailing_bytes'
  /** A sentence for the user, with the position. */
  readonly message: string
}

/** The option of every stage that makes notes. */
export interface NoteOptions {
  /** Called with each note, before the records that it concerns. */
  readonly onNote?: ((note: InputNote) => void) | undefined
}

/**
 * Calls the user's function.
 *
 * @throws BatchStreamError `CBS_STAGE` if it throws or returns a promise
 */
export function tellNote({ onNote }: NoteOptions, note: InputNote): void {
  if (onNote) callSync('onNote', onNote, note)
}

/**
 * Calls the user's function with the column names.
 *
 * @throws BatchStreamError `CBS_STAGE` if it throws or returns a promise
 */
export function tellHeader(
  { onHeader }: { readonly onHeader?: ((columns: readonly string[]) => void) | undefined },
  columns: readonly string[],
): void {
  if (onHeader) callSync('onHeader', onHeader, columns)
}
