import t from 'tap'
import {
  DOLLAR,
  parseRate,
  parseUsd,
  showUsd,
  showUsdUp,
  suggestedUsd,
  usdNumber,
  usdOf,
} from '../../lib/cost/usd.ts'

t.test('an amount is parsed digit by digit, without a double in between', async t => {
  t.equal(parseUsd('0.1'), DOLLAR / 10n)
  t.equal(parseUsd('12.50'), (DOLLAR * 25n) / 2n)
  t.equal(parseUsd('0.000000000000001'), 1n)
  t.equal(parseUsd('999999999999.999999999999999'), 10n ** 27n - 1n)
})

t.test('text that is not an amount is undefined', async t => {
  for (const text of ['', '.', '1.', '.5', '-1', '+1', '1e3', '1,5', ' 1', 'Infinity', '0x1'])
    t.equal(parseUsd(text), undefined, text)
  t.equal(parseUsd('0.0000000000000001'), undefined, 'more decimals than are counted')
})

t.test('a rate is per token, with enough decimals for every share of it', async t => {
  t.equal(parseRate('1'), 10n ** 9n)
  t.equal(parseRate('0.00001'), 10_000n)
  t.equal(parseRate('0.000001'), undefined)
  t.equal(parseRate('cheap'), undefined)
})

t.test('amounts show as cents, and small ones with three significant digits', async t => {
  const shown = (text: string): string => showUsd(parseUsd(text) as bigint)
  t.equal(shown('0'), '$0.00')
  t.equal(shown('1'), '$1.00')
  t.equal(shown('1234.5'), '$1234.50')
  t.equal(shown('0.1'), '$0.10')
  t.equal(shown('0.0999'), '$0.0999')
  t.equal(shown('0.0421'), '$0.0421')
  t.equal(shown('0.00042'), '$0.000420')
  t.equal(shown('0.000000000000001'), '$0.000000000000001')
})

t.test('amounts are rounded to the nearest, or up where they must suffice', async t => {
  for (const [text, nearest, up] of [
    ['5.974', '$5.97', '$5.98'],
    ['1.001', '$1.00', '$1.01'],
    ['1.005', '$1.01', '$1.01'],
    ['0.104', '$0.10', '$0.11'],
    ['0.04211', '$0.0421', '$0.0422'],
    ['0.04215', '$0.0422', '$0.0422'],
    ['0.0999999', '$0.10', '$0.10'],
    ['0.00999999', '$0.0100', '$0.0100'],
    ['0.999', '$1.00', '$1.00'],
    ['0.000000000000001', '$0.000000000000001', '$0.000000000000001'],
    ['0', '$0.00', '$0.00'],
  ] as const) {
    const amount = parseUsd(text) as bigint
    t.same([showUsd(amount), showUsdUp(amount)], [nearest, up], text)
  }
})

t.test('JSON gets the nearest double', async t => {
  t.equal(usdNumber(parseUsd('0.1') as bigint), 0.1)
  t.equal(usdNumber(parseUsd('1234.567') as bigint), 1234.567)
  t.equal(usdNumber(1n), 1e-15)
  t.equal(usdNumber(0n), 0)
})

t.test('a suggested amount is sufficient and short', async t => {
  for (const [text, suggested] of [
    ['0.00622', '0.0063'],
    ['5.974', '6'],
    ['123.4', '130'],
    ['99.5', '100'],
    ['0.25', '0.25'],
    ['0.000000000000001', '0.000000000000001'],
  ] as const)
    t.equal(suggestedUsd(parseUsd(text) as bigint), suggested, text)
  t.equal(usdOf(0.0421), parseUsd('0.0421'))
})
