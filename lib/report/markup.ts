/** Text that is HTML already. Only `markup` makes it, so whatever else is put into a page is escaped. */
export class Markup {
  readonly html: string

  /** @internal */
  constructor(html: string) {
    this.html = html
  }
}

/** What may be put into markup; undefined leaves its place empty. */
export type Piece = string | number | Markup | undefined | readonly Piece[]

/** A section of the page; a sentence instead where there is nothing to show. */
export type Section = Markup | string

/** HTML from a template; what is put into it is escaped, unless it is markup itself. */
export function markup(strings: TemplateStringsArray, ...pieces: readonly Piece[]): Markup {
  return new Markup(strings.map((text, at) => text + htmlOf(pieces[at])).join(''))
}

function htmlOf(piece: Piece): string {
  if (piece === undefined) return ''
  if (piece instanceof Markup) return piece.html
  return typeof piece === 'object' ? piece.map(htmlOf).join('') : escaped(String(piece))
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/**
 * A text as HTML shows it, in an attribute too. Control characters become their pictures (␛), and what could turn the
 * direction of what follows, or is half a character, becomes U+FFFD: a record must not make a page say something else.
 */
export function escaped(text: string): string {
  return text
    .replaceAll(/\p{Surrogate}/gu, '\ufffd')
    .replaceAll(/[&<>"']/g, character => ENTITIES[character] as string)
    .replaceAll(/[\u0000-\u001f]/g, character =>
      String.fromCharCode(0x2400 + character.charCodeAt(0)),
    )
    .replaceAll('\u007f', '\u2421')
    .replaceAll(/[\u0080-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
}
