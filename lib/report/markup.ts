/** Text that is HTML. Only `markup` creates it, so everything else in a page is escaped. */
export class Markup {
  readonly html: string

  /** @internal */
  constructor(html: string) {
    this.html = html
  }
}

/** A value in a `markup` template; undefined becomes empty. */
export type Piece = string | number | Markup | undefined | readonly Piece[]

/** A section of the page, or a sentence if there is nothing to show. */
export type Section = Markup | string

/** HTML from a template. Values are escaped unless they are markup. */
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
 * Escapes a text for HTML, including attributes. Control characters become their symbols (␛). Lone surrogates and characters
 * that change the text direction become U+FFFD, so that a record cannot change what a page says.
 */
export function escaped(text: string): string {
  return (
    text
      .replaceAll(/\p{Surrogate}/gu, '\ufffd')
      // The expression matches only these five characters.
      .replaceAll(/[&<>"']/g, character => ENTITIES[character] as string)
      .replaceAll(/[\u0000-\u001f]/g, character =>
        String.fromCharCode(0x2400 + character.charCodeAt(0)),
      )
      .replaceAll('\u007f', '\u2421')
      .replaceAll(/[\u0080-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd')
  )
}
