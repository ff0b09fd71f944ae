import t from 'tap'
import { GUESS, rateOf } from '../../lib/cost/calibration.ts'

t.test('a complete sample has no error', async t => {
  const all = [
    { base: 10, tokens: 5 },
    { base: 30, tokens: 5 },
  ]
  t.same(rateOf(all, 2), { per: 0.25, error: 0 })
})

t.test('a sample of one request is inaccurate', async t => {
  t.same(rateOf([{ base: 10, tokens: 5 }], 100), { per: 0.5, error: 1 })
  t.same(rateOf([{ base: 10, tokens: 0 }], 100), { per: 0, error: 1 })
})

t.test('the true value lies within the margin 19 times in 20', async t => {
  // A population whose tokens follow from its size, except for a third of it.
  let seed = 1
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const all = Array.from({ length: 2000 }, () => {
    const base = 100 + random() * 900
    return { base, tokens: base * (0.2 + random() * 0.13) }
  })
  const sums = all.reduce((a, b) => ({ base: a.base + b.base, tokens: a.tokens + b.tokens }))
  const truth = sums.tokens / sums.base
  let within = 0
  for (let trial = 0; trial < 400; trial++) {
    const sample = Array.from({ length: 100 }, () => all[Math.floor(random() * all.length)])
    const { per, error } = rateOf(
      sample.flatMap(one => (one ? [one] : [])),
      all.length,
    )
    if (Math.abs(per / truth - 1) <= error) within += 1
    t.ok(error < 0.1)
  }
  t.ok(within >= 360, `${within} of 400`)
})

t.test('without counted tokens, text is guessed and media are unknown', async t => {
  t.equal(GUESS.text('any').per, 1 / 3.5)
  t.equal(GUESS.media('any'), undefined)
})
