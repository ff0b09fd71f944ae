/** Where a text stops being JSON: the index of the first wrong character, and what is expected there. */
export interface Fault {
  readonly at: number
  readonly wanted: string
}

// What is expected next, in the words of error messages.
const VALUE = 'a value'
const VALUE_OR_END = 'a value or "]"'
const KEY = 'a key in double quotes'
const KEY_OR_END = 'a key in double quotes or "}"'
const COLON = '":"'
const NEXT_MEMBER = '"," or "}"'
const NEXT_ELEMENT = '"," or "]"'
/** Expected after a complete value. */
export const END = 'the end'

/**
 * Finds the first fault in a text that JSON.parse rejected, since its own messages rarely have a position and differ between
 * versions of Node. The fault of an incomplete text is at its end; a valid text expects `END` there.
 */
export function faultOf(text: string): Fault {
  const open: string[] = []
  let wanted = VALUE
  const afterValue = (): string => {
    const nest = open.at(-1)
    return nest === undefined ? END : nest === '{' ? NEXT_MEMBER : NEXT_ELEMENT
  }

  let at = skip(BLANKS, text, 0)
  for (; at < text.length; at = skip(BLANKS, text, at)) {
    const char = text.charAt(at)
    const token = readToken(text, at)
    if (token.broken !== undefined) return canStand(wanted, char) ? token.broken : { at, wanted }
    if (!canStand(wanted, char)) return { at, wanted }
    at = token.end
    if (char === '{' || char === '[') {
      open.push(char)
      wanted = char === '{' ? KEY_OR_END : VALUE_OR_END
    } else if (char === '}' || char === ']') {
      open.pop()
      wanted = afterValue()
    } else if (char === ',') wanted = wanted === NEXT_MEMBER ? KEY : VALUE
    else if (char === ':') wanted = VALUE
    else wanted = wanted === KEY || wanted === KEY_OR_END ? COLON : afterValue()
  }
  return { at, wanted }
}

function canStand(wanted: string, char: string): boolean {
  switch (wanted) {
    case VALUE:
      return /[{["\-\dtfn]/.test(char)
    case VALUE_OR_END:
      return /[{["\-\dtfn\]]/.test(char)
    case KEY:
      return char === '"'
    case KEY_OR_END:
      return char === '"' || char === '}'
    case COLON:
      return char === ':'
    case NEXT_MEMBER:
      return char === ',' || char === '}'
    case NEXT_ELEMENT:
      return char === ',' || char === ']'
    default:
      return false
  }
}

const BLANKS = /[ \t\r\n]*/y
const PLAIN = /[^"\\\u0000-\u001f]*/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null)(?![\w.+-])/y

function readToken(text: string, at: number): { end: number; broken?: Fault } {
  const char = text.charAt(at)
  if ('{}[],:'.includes(char)) return { end: at + 1 }
  if (char === '"') {
    const end = stringBody(text, at + 1)
    if (text.charAt(end) === '"') return { end: end + 1 }
    return { end, broken: { at: end, wanted: stringFault(text.charAt(end)) } }
  }
  const end = skip(SCALAR, text, at)
  return end > at ? { end } : { end, broken: { at, wanted: VALUE } }
}

/** A single pattern for plain characters and escapes would overflow the matcher's stack on a string of megabytes. */
function stringBody(text: string, from: number): number {
  let at = skip(PLAIN, text, from)
  for (let next = skip(ESCAPE, text, at); next > at; next = skip(ESCAPE, text, at))
    at = skip(PLAIN, text, next)
  return at
}

function stringFault(char: string): string {
  if (char === '') return 'the closing quote of a string'
  return char === '\\' ? 'a valid escape' : 'an escape instead of a control character'
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}
