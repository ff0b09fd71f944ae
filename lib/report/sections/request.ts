import { Markup, markup, type Section } from '../markup.ts'
import type { JobReport } from '../report.ts'
import { count } from '../words.ts'

/** The maximum number of characters shown of a text. */
const MOST_CHARACTERS = 20_000

/** What the requests of the job have in common: the prompt and its parameters. */
export function requestSection({ request }: JobReport): Section {
  const { texts, parameters } = request
  if (texts.length === 0 && parameters.length === 0) return 'The records contain their own prompts.'
  const values = parameters.map(
    ([name, value]) => markup`<div><dt>${name}</dt><dd><bdi>${value}</bdi></dd></div>`,
  )
  const list = values.length === 0 ? undefined : markup`<dl class="facts">${values}</dl>`
  return markup`<section id="request"><h2>Prompt and parameters</h2>${texts.map(textOf)}${list}</section>`
}

/** A text as it is, in a box that scrolls if it is long. */
function textOf([name, text]: readonly [string, string]): Markup {
  const shown = text.slice(0, MOST_CHARACTERS)
  const rest =
    shown.length < text.length
      ? markup`<p class="soft">The first ${count(MOST_CHARACTERS)} of ${count(text.length)} characters.</p>`
      : undefined
  // A box that scrolls must be reachable with the keyboard.
  return markup`<h3>${name}</h3><pre tabindex="0" role="region" aria-label="${name}"><bdi>${laidOut(shown)}</bdi></pre>${rest}`
}

/** Escaped text that keeps its line breaks and tabs. */
function laidOut(text: string): Markup[] {
  return text
    .split(/(\r?\n|\t)/)
    .map((part, at) => (at % 2 === 0 ? markup`${part}` : new Markup(part === '\t' ? '\t' : '\n')))
}
