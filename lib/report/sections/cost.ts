import { barChart, type Bar } from '../charts/bars.ts'
import { markup, type Section } from '../markup.ts'
import type { JobReport } from '../report.ts'
import type { Billed } from '../../cost/cost.ts'
import { unmeasuredText } from '../../cost/ledger.ts'
import { usdNumber } from '../../cost/usd.ts'
import { count, dollars, percent } from '../words.ts'

const CLASSES: readonly (readonly [keyof Billed, string])[] = [
  ['input', 'input'],
  ['output', 'output'],
  ['write5m', 'cache write, 5 min'],
  ['write1h', 'cache write, 1 h'],
  ['read', 'cache read'],
  ['searches', 'web searches'],
]

/** The cost by class, compared with synchronous calls. */
export function costSection({ figures, estimate, reserved }: JobReport): Section {
  const { ledger, bill } = figures
  const { spent, synchronous, tokens, unpriced, unmeasured } = ledger
  const searched = bill.synchronous.searches > 0n
  const used = CLASSES.filter(([name]) => (name === 'searches' ? searched : tokens[name] > 0))
  const isKnown = spent !== undefined
  if (used.length === 0 && isKnown) return 'Nothing was billed.'
  const bars = used.flatMap(([name, said]): Bar[] => [
    bar(said, bill.batch[name], 'data'),
    { ...bar(`${said}, synchronous`, bill.synchronous[name], 'pale'), isSecond: true },
  ])
  const rows = used.map(
    ([name, said]) =>
      markup`<tr><td>${said}</td><td>${name === 'searches' ? '' : count(tokens[name])}</td><td>${isKnown ? dollars(bill.batch[name]) : '?'}</td><td>${isKnown ? dollars(bill.synchronous[name]) : '?'}</td></tr>`,
  )
  const saved =
    spent !== undefined && synchronous !== undefined && synchronous > spent
      ? `Batches saved ${dollars(synchronous - spent)}, ${percent(usdNumber(synchronous - spent), usdNumber(synchronous))} of what synchronous calls would have cost.`
      : ''
  const notes = [
    saved,
    unmeasured > 0 ? `The cost is unknown: ${unmeasuredText(unmeasured)}.` : '',
    unpriced.length > 0 ? `The cost is unknown: no price is known for ${unpriced.join(', ')}.` : '',
    estimate === undefined ? '' : `The estimate for the whole job was ${dollars(estimate)}.`,
    reserved === undefined ? '' : `${dollars(reserved)} is reserved for batches in flight.`,
    `This counts every answer received (${count(figures.prompts.count)}), including those that were retried later.`,
  ]
  const chart = isKnown
    ? markup`<figure>${barChart(bars, 'Cost by class, as batches and as synchronous calls')}<figcaption><span class="key"></span>as batches<span class="key pale"></span>as synchronous calls</figcaption></figure>`
    : undefined
  return markup`<section><h2>Cost</h2>${chart}<div class="wide"><table><thead><tr><th>Class</th><th>Tokens</th><th>Batches</th><th>Synchronous calls</th></tr></thead><tbody>${rows}</tbody><tfoot><tr><td>All</td><td></td><td>${dollars(spent)}</td><td>${dollars(synchronous)}</td></tr></tfoot></table></div><p class="soft">${notes.filter(note => note !== '').join(' ')}</p></section>`
}

function bar(name: string, amount: bigint, look: string): Bar {
  return { name, value: usdNumber(amount), said: dollars(amount), look }
}
