import { END, faultOf } from '../../core/json/fault.ts'
import { withoutComments } from './csv-comments.ts'

/** The formats that can be told from a name or from bytes. */
export type GuessedFormat = 'csv' | 'tsv' | 'jsonl' | 'json' | 'text'

/** What an input seems to be, and why: a short sentence for the user. */
export interface Guess {
  readonly format: GuessedFormat
  readonly why: string
  /** What it was guessed from. */
  readonly by: 'name' | 'bytes' | 'option'
}

/** What there is to guess from. */
export interface Evidence {
  /** The file's name; `.gz` and `.zst` at its end count for nothing. */
  readonly name?: string | undefined
  /** The first characters, unpacked, without a byte order mark. */
  readonly head: string
  /** What a line begins with that says nothing of the format. */
  readonly comment?: string | undefined
  /** Whether no more will come, or more is not to be waited for. */
  readonly enough: boolean
}

/**
 * The format of an input: by its name where that tells, else by its beginning. Undefined while more of it must be seen:
 * at most its first line that is no comment, for JSON one character of the next.
 */
export function guess({ name = '', head, comment, enough }: Evidence): Guess | undefined {
  const ending = /\.([a-z]+)(?:\.(?:gz|zst))?$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  const named = BY_NAME.get(ending)
  const text = (comment === undefined ? head : withoutComments(head, comment)).trimStart()
  const json = text.startsWith('{') || text.startsWith('[')
  // JSON lines are often named .json, so there the content has the last word.
  if (named && (named !== 'json' || !json)) {
    if (named === 'json' && text === '' && !enough) return undefined
    return { format: named, why: `its name ends in .${ending}`, by: 'name' }
  }
  if (text === '' && !enough) return undefined
  const [line = '', next] = firstLine(text)
  if (next === undefined && !enough) return undefined
  const guessed = json ? guessJson(line, next?.trimStart() ?? '', enough) : guessTable(line)
  return guessed && { ...guessed, by: 'bytes' }
}

const BY_NAME = new Map<string, GuessedFormat>([
  ['csv', 'csv'],
  ['tsv', 'tsv'],
  ['tab', 'tsv'],
  ['jsonl', 'jsonl'],
  ['ndjson', 'jsonl'],
  ['json', 'json'],
  ['txt', 'text'],
])

function firstLine(text: string): [line: string, rest: string | undefined] {
  const at = text.search(/[\r\n]/)
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at)]
}

function guessJson(line: string, next: string, enough: boolean): Omit<Guess, 'by'> | undefined {
  const { at, wanted } = faultOf(line)
  const whole = wanted === END && at === line.length
  const cut = wanted !== END && at === line.length
  if (line.startsWith('{')) {
    // One value that goes on in the next line is a document; a faulty line is still a line.
    if (cut && next !== '')
      return { format: 'json', why: 'its first line is the beginning of a JSON object' }
    return { format: 'jsonl', why: 'its first line is a JSON object' }
  }
  if (whole && next === '' && !enough) return undefined
  if (whole && next !== '')
    return { format: 'jsonl', why: 'its first line is a whole JSON array, and more lines follow' }
  return { format: 'json', why: 'it begins with [' }
}

function guessTable(line: string): Omit<Guess, 'by'> {
  const count = (delimiter: string): number => line.split(delimiter).length - 1
  const commas = count(',')
  const tabs = count('\t')
  if (tabs > 0 && tabs >= Math.max(commas, count(';'), count('|')))
    return { format: 'tsv', why: 'its first line has tabs' }
  if (commas > 0) return { format: 'csv', why: 'its first line has commas' }
  if (count(';') > 0) return { format: 'csv', why: 'its first line has semicolons' }
  if (count('|') > 0) return { format: 'csv', why: 'its first line has vertical bars' }
  return { format: 'csv', why: 'its first line is taken for the header of a single column' }
}
