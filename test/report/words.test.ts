import t from 'tap'
import { count, dollars, moment, percent, several, span } from '../../lib/report/words.ts'

t.test('a partial share never shows as all or none', async t => {
  t.same(
    [
      [0, 5],
      [0, 0],
      [5, 5],
      [999_999, 1_000_000],
      [1, 1_000_000],
      [1, 3],
    ].map(([part = 0, whole = 0]) => percent(part, whole)),
    ['0%', '0%', '100%', '99.9%', '0.1%', '33.3%'],
  )
})

t.test('times are shown in customary units', async t => {
  const said = [400, 45_000, 59_800, 720_000, 11_100_000, 3 * 86_400_000 + 3_600_000].map(span)
  t.same(said, ['0.4 s', '45 s', '1 min', '12 min', '3 h 5 min', '3 d 1 h'])
  t.equal(span(2 * 3_600_000 - 1), '2 h 0 min')
  t.equal(moment(Date.parse('2026-11-21T14:48:30Z')), '2026-11-21 14:48 UTC')
})

t.test('numbers are shown with their unit', async t => {
  t.same([count(1234567), count(12.345)], ['1,234,567', '12.3'])
  t.same([several(1, 'row'), several(2000, 'batch', 'batches')], ['1 row', '2,000 batches'])
  t.same([dollars(undefined), dollars(10n ** 15n)], ['unknown', '$1.00'])
})
