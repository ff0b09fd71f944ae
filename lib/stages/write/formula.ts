// A tab or carriage return in front, or a formula's first character after blanks, in the first line or a later one. The
// full-width forms are read like the plain ones by spreadsheets for East Asian languages.
// Both patterns take linear time, as cells hold foreign text: no two stretches beside each other match the same characters.
const FORMULA = /^[\t\r]|(?:^\s*|[\r\n][^\S\r\n]*)[=+\-@＝＋－＠]/
const NUMBER = /^\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?\s*$/i

/**
 * A cell that a spreadsheet would take for a formula gets a leading apostrophe, which makes it text; a plain number such
 * as -5 is left alone. See owasp.org, "CSV Injection".
 */
export function guardFormula(cell: string): string {
  return FORMULA.test(cell) && !NUMBER.test(cell) ? `'${cell}` : cell
}
