import { PRICES, type ListedPrice } from '../cost/prices.ts'

const COLUMNS = ['input', 'output', 'write_5m', 'write_1h', 'read'] as const
const HEADS = ['input', 'output', '5m write', '1h write', 'cache read']
const NOTES = [
  'List prices of synchronous calls; a batch is billed at half of them. If a model',
  'is not in this list, give its price with --price IN,OUT: its list price in USD',
  'per million tokens. It then holds for all models of the job.',
]

/** The price list as a table. */
export function pricesHelp(): string {
  const entries = Object.entries(PRICES)
  const rows = entries.flatMap(([model, listed]) => rowsOf(model, listed))
  return [
    'USD per million tokens',
    '',
    line('model', HEADS, 'read on, at'),
    ...rows,
    '',
    ...NOTES,
    '',
  ].join('\n')
}

function rowsOf(model: string, { long, date, source, ...rates }: ListedPrice): string[] {
  const texts = (of: typeof rates): string[] => COLUMNS.map(name => of[name])
  const usual = line(model, texts(rates), `${date}, ${source}`)
  if (!long) return [usual]
  return [usual, line(`  prompts above ${long.above} tokens`, texts(long), 'the same')]
}

function line(first: string, numbers: readonly string[], last: string): string {
  return `${first.padEnd(30)}${numbers.map(text => text.padStart(11)).join('')}  ${last}`
}
