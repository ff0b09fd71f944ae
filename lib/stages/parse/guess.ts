import { END, faultOf } from '../../core/json/fault.ts'
import { withoutComments } from './csv-comments.ts'

/** The formats that can be detected. */
export type GuessedFormat = 'csv' | 'tsv' | 'jsonl' | 'json' | 'text'

/** The detected format, and why: a short sentence for the user. */
export interface Guess {
  /** The detected format. */
  readonly format: GuessedFormat
  /** What the decision is based on, such as the name of the file, in words. */
  readonly why: string
  /** The basis of the guess. */
  readonly by: 'name' | 'bytes' | 'option'
}

/** The evidence for a guess. */
export interface Evidence {
  /** The file's name; a trailing `.gz` or `.zst` is ignored. */
  readonly name?: string | undefined
  /** The first characters, decompressed, without a byte order mark. */
  readonly head: string
  /** The prefix of lines that do not indicate the format. */
  readonly comment?: string | undefined
  /** Whether the input has ended, or the decision must not wait for more of it. */
  readonly enough: boolean
}

/**
 * Detects the format by the name if possible, else by the first bytes. Undefined while more is needed: at most the first
 * line that is not a comment, and for JSON one character of the next.
 */
export function guess({ name = '', head, comment, enough }: Evidence): Guess | undefined {
  const { ending, format: named } = formatByName(name) ?? {}
  const text = (comment === undefined ? head : withoutComments(head, comment)).trimStart()
  const json = text.startsWith('{') || text.startsWith('[')
  // Files of JSON Lines are often named .json, so for these the content decides.
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

/** The format that the extension of a file indicates, if any. */
export function formatByName(name: string): { ending: string; format: GuessedFormat } | undefined {
  const ending = /\.([a-z]+)(?:\.(?:gz|zst))?$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  const format = BY_NAME.get(ending)
  return format && { ending, format }
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
    // A value that continues on the next line is a document; an invalid line is still a line.
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
