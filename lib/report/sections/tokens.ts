import { columnChart } from '../charts/columns.ts'
import type { Histogram } from '../histogram.ts'
import { markup, type Markup, type Section } from '../markup.ts'
import type { JobReport } from '../report.ts'
import { count, percent, several } from '../words.ts'

/** The sizes of prompts and answers, and how much of the prompts came from the cache. */
export function tokensSection({ figures }: JobReport): Section {
  const { prompts, answers, hits, ledger } = figures
  const { write5m, write1h, read, input } = ledger.tokens
  const all = input + write5m + write1h + read
  const cache =
    all === input
      ? 'The prompt cache was not used.'
      : `${percent(read, all)} of the prompt tokens came from the prompt cache, in ${several(hits, 'answer')} of ${count(prompts.count)}: ${count(read)} read, ${count(write5m + write1h)} written.`
  if (prompts.count === 0) return 'No answer was billed.'
  return markup`<section><h2>Tokens</h2><div class="pair">${[
    sizes('Prompt', prompts),
    sizes('Answer', answers),
  ]}</div><p class="soft">Bins grow by the same factor; retries are counted each time. ${cache}</p></section>`
}

function sizes(name: string, histogram: Histogram): Markup {
  const { least, median, mean, most } = histogram.summary
  return markup`<figure><h3>${name} tokens</h3>${columnChart(histogram, `How many answers had how many ${name.toLowerCase()} tokens`)}<figcaption>minimum ${count(least)} · median about ${count(median)} · mean ${count(mean)} · maximum ${count(most)}</figcaption></figure>`
}
