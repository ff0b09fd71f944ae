import { BatchStreamError } from '../../core/errors.ts'
import type { Field } from '../../core/field.ts'
import { didYouMean } from '../../core/nearest.ts'

/** The whole record as JSON: `{{@json}}`. */
export const WHOLE: unique symbol = Symbol('@json')

/** Literal text, a field, or the whole record. */
export type TemplatePart = string | Field | typeof WHOLE

/** A compiled template without errors. */
export interface Template {
  /** Its name for users: `prompt`, `system`, `id`. */
  readonly name: string
  readonly parts: readonly TemplatePart[]
}

export interface CompileOptions {
  /** The template's name in errors. */
  readonly name: string
  /** Values of `{{$key}}`. They become literal text, even if they look like fields. */
  readonly vars?: Readonly<Record<string, string>> | undefined
}

// In a run of braces the last two open a field, so that `\textbf{{{name}}}` has one between single braces.
const OPEN = /\{\{(?!\{)/g

/**
 * Compiles a template. Fields are in double braces: `{{review}}`, `{{a.b.0}}`, `{{note?}}` (optional), `{{$key}}` (a
 * variable), `{{@json}}` (the whole record). `\{{` is the text `{{`, and `\\{{field}}` is a backslash before a field.
 * Everything else is text, including a stray `}}`.
 *
 * @throws BatchStreamError `CBS_OPTION` for unclosed braces, an empty name or an unknown variable, with line and column
 */
export function compile(text: string, options: CompileOptions): Template {
  const parts: TemplatePart[] = []
  const placeOf = placesIn(text)
  let literal = ''
  let end = 0
  for (const { index: start } of text.matchAll(OPEN)) {
    const slashes = slashesBefore(text, start, end)
    const before = text.slice(end, start - Math.ceil(slashes / 2))
    if (slashes % 2 === 1) {
      // These braces are text, and so is everything up to the next ones.
      literal += `${before}{{`
      end = start + 2
      continue
    }
    const close = text.indexOf('}}', start)
    const again = text.indexOf('{{', start + 2)
    const at = placeOf(start)
    if (close < 0 || (again >= 0 && again < close)) {
      throw wrong(options.name, at, 'these {{ are never closed by }}; {{ as text is \\{{')
    }
    const name = text.slice(start + 2, close).trim()
    literal += before
    end = close + 2
    if (name.startsWith('$')) literal += variable(name.slice(1).trim(), options, at)
    else {
      if (literal) parts.push(literal)
      literal = ''
      parts.push(name === '@json' ? WHOLE : field(name, options.name, at))
    }
  }
  literal += text.slice(end)
  if (literal) parts.push(literal)
  return { name: options.name, parts }
}

/** The number of backslashes before an offset, back to `from`. */
function slashesBefore(text: string, at: number, from: number): number {
  let start = at
  while (start > from && text[start - 1] === '\\') start -= 1
  return at - start
}

/** Whether a template renders the same for every record. */
export function isFixed({ parts }: Template): boolean {
  return parts.every(part => typeof part === 'string')
}

interface At {
  readonly line: number
  readonly column: number
}

function field(name: string, template: string, at: At): Field {
  const optional = name.endsWith('?')
  const bare = optional ? name.slice(0, -1).trim() : name
  if (bare === '') throw wrong(template, at, 'a field needs a name: {{name}}')
  return { name, bare, path: bare.split('.'), optional, ...at }
}

function variable(key: string, options: CompileOptions, at: At): string {
  const vars = options.vars ?? {}
  const value = Object.hasOwn(vars, key) ? vars[key] : undefined
  if (value !== undefined) return value
  const known = Object.keys(vars)
  const list = known.length > 0 ? `known are ${known.map(k => `$${k}`).join(', ')}` : 'none is set'
  throw wrong(options.name, at, `unknown variable {{$${key}}}${didYouMean(key, known)}; ${list}`)
}

/** The position of growing offsets in a text: lines and characters (not UTF-16 units) from 1. */
function placesIn(text: string): (offset: number) => At {
  let at: At = { line: 1, column: 1 }
  let last = 0
  return offset => {
    const between = text.slice(last, offset)
    const breaks = between.split('\n').length - 1
    const { length: characters } = [...between.slice(between.lastIndexOf('\n') + 1)]
    last = offset
    at = { line: at.line + breaks, column: characters + (breaks === 0 ? at.column : 1) }
    return at
  }
}

function wrong(template: string, place: At, what: string): BatchStreamError {
  const where = `${template} template, line ${place.line}, column ${place.column}`
  return new BatchStreamError('CBS_OPTION', `${where}: ${what}`, { option: template, place })
}
