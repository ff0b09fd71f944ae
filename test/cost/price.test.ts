import t from 'tap'
import { givenPrice, listPrice, type Price } from '../../lib/cost/price.ts'
import { PRICES } from '../../lib/cost/prices.ts'
import { parseRate } from '../../lib/cost/usd.ts'

const usd = (text: string): bigint => parseRate(text) as bigint

t.test('every listed text is a price with its date and source', async t => {
  for (const [model, entry] of Object.entries(PRICES)) {
    for (const rates of [entry, entry.long].filter(one => one !== undefined)) {
      for (const name of ['input', 'output', 'write_5m', 'write_1h', 'read'] as const)
        t.type(parseRate(rates[name]), 'bigint', `${model} ${name}`)
    }
    t.match(entry.date, /^2026-\d\d(-\d\d)?$/, `${model} has a date`)
    t.not(entry.source, '', `${model} has a source`)
  }
})

t.test('cache writes cost 1.25 and 2 times the input of each model, as documented', async t => {
  for (const model of Object.keys(PRICES)) {
    const { rates, long } = listPrice(model) as Price
    for (const { input, write5m, write1h } of [rates, long?.rates].filter(one => !!one)) {
      t.equal(write5m * 4n, input * 5n, model)
      t.equal(write1h, input * 2n, model)
    }
  }
})

t.test('a model has its listed rates', async t => {
  t.match(listPrice('claude-opus-5-5'), {
    rates: {
      input: usd('4'),
      output: usd('20'),
      write5m: usd('5'),
      write1h: usd('8'),
      read: usd('0.2'),
    },
  })
  t.notOk(listPrice('claude-opus-5-5')?.long)
})

t.test('long prompts of claude-haiku-5-5 have rates of their own', async t => {
  const price = listPrice('claude-haiku-5-5') as Price
  t.equal(price.rates.input, usd('0.1'))
  t.equal(price.long?.above, 100_000)
  t.equal(price.long?.rates.output, usd('2.5'))
})

t.test('a dated snapshot costs what its model costs', async t => {
  t.same(listPrice('claude-haiku-4-5-20251001'), listPrice('claude-haiku-4-5'))
})

t.test('an unknown model has no price, and none is guessed', async t => {
  for (const model of [
    'claude-mythos-preview',
    'claude-haiku-5',
    'claude',
    '',
    'constructor',
    'toString',
  ])
    t.equal(listPrice(model), undefined, model)
})

t.test('a given price applies to every model; cache classes follow', async t => {
  const price = givenPrice('0.5, 2.50')('anything') as Price
  t.same(price.rates, {
    input: usd('0.5'),
    output: usd('2.5'),
    write5m: usd('0.625'),
    write1h: usd('1'),
    read: usd('0.05'),
  })
  t.notOk(price.long)
})

t.test('an invalid price is rejected with the expected format', async t => {
  for (const text of ['', '1', '1,2,3', '1;2', 'a,b', '-1,2', '1,0.000001']) {
    t.throws(() => givenPrice(text), {
      code: 'CBS_OPTION',
      option: 'price',
      message: `\`price\` must be two list prices in USD per million tokens with at most 5 decimals, such as 0.10,0.50; got "${text}"`,
    })
  }
})
