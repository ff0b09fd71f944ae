import t from 'tap'
import { Histogram } from '../../lib/report/histogram.ts'

function of(...values: number[]): Histogram {
  const histogram = new Histogram()
  for (const value of values) histogram.add(value)
  return histogram
}

t.test('every value is in exactly one bin, whatever its size', async t => {
  const values = Array.from({ length: 2000 }, (_, at) => Math.floor(1.011 ** at) - 1)
  const histogram = of(...values)
  for (const most of [5, 32, 1000]) {
    const bins = histogram.bins(most)
    t.ok(bins.length <= most, `${bins.length}`)
    t.equal(
      bins.reduce((sum, { count }) => sum + count, 0),
      values.length,
    )
    for (const [at, { from, to, count }] of bins.entries()) {
      t.equal(bins[at + 1]?.from ?? to, to, 'the next begins where it ends')
      t.equal(count, values.filter(value => value >= from && value < to).length)
    }
  }
})

t.test('bins are fine where values are close, with room around them', async t => {
  const bins = of(1500, 1501, 1502).bins(32)
  t.equal(bins.filter(({ count }) => count > 0).length, 1)
  t.ok(bins.length >= 12)
  const { from = 0, to = 0 } = bins.find(({ count }) => count === 3) ?? {}
  t.ok(to - from < 150)
  t.equal(of(0, 0).bins(32)[0]?.count, 2, 'none is below 0')
})

t.test('minimum, mean and maximum are exact, and the median is close', async t => {
  const summary = of(10, 20, 1000).summary
  t.match(summary, { least: 10, most: 1000, mean: 1030 / 3 })
  t.ok(Math.abs(summary.median - 20) <= 2)
  t.match(of(7).summary, { least: 7, median: 7, mean: 7, most: 7 })
  const huge = 2 ** 30
  t.match(of(huge, huge).summary, { least: huge, median: huge, most: huge })
})

t.test('without values nothing is shown', async t => {
  t.same(of().summary, { least: 0, median: 0, mean: 0, most: 0 })
  t.same(of().bins(10), [])
})
