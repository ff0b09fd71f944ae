import t from 'tap'
import {
  Attempts,
  DOWNLOADS,
  type Decision,
  type Outcome,
} from '../../../lib/stages/results/attempts.ts'

const SETTLE = 10_000

const short: Outcome = { kind: 'incomplete', isGone: false, why: 'no line', odd: undefined }
const gone: Outcome = { kind: 'incomplete', isGone: true, why: '404', odd: undefined }
const invalid: Outcome = { kind: 'invalid', why: 'a line is cut' }

/** Decides about outcomes that come at these times. */
function decide(
  attempts: Attempts,
  outcomes: readonly (readonly [number, Outcome])[],
  isArchived = false,
): Decision[] {
  return outcomes.map(([now, outcome]) => attempts.after(outcome, { now, isArchived }))
}

const kinds = (decisions: readonly Decision[]): string[] => decisions.map(({ kind }) => kind)

t.test('a complete set is accepted at once', async t => {
  const [first] = decide(new Attempts(SETTLE), [[0, { kind: 'complete' }]])
  t.same(first, { kind: 'accept', why: null })
})

t.test('missing lines are final after five downloads and the settle time', async t => {
  const early = decide(
    new Attempts(SETTLE),
    [0, 1, 2, 3, 4].map(now => [now, short]),
  )
  t.same(kinds(early), Array(5).fill('again'), 'however many downloads there were')
  t.same(early.at(-1), { kind: 'again', failures: DOWNLOADS, mostMs: SETTLE - 4 })
  const late = decide(
    new Attempts(SETTLE),
    [0, 1, 2, SETTLE, SETTLE + 1].map(now => [now, short]),
  )
  t.same(kinds(late), [...Array(4).fill('again'), 'accept'], 'and not before the fifth')
  t.same(late.at(-1), { kind: 'accept', why: 'no line' })
})

t.test('a 404 is final after the settle time, unless something else came in between', async t => {
  const [first, second, third] = decide(new Attempts(SETTLE), [
    [5, gone],
    [SETTLE, gone],
    [SETTLE + 5, gone],
  ])
  t.same(first, { kind: 'again', failures: 1, mostMs: SETTLE })
  t.same(second, { kind: 'again', failures: 2, mostMs: 5 })
  t.same(third, { kind: 'accept', why: '404' })
  for (const between of ['interrupt', 'restart'] as const) {
    const attempts = new Attempts(SETTLE)
    attempts.after(gone, { now: 0, isArchived: false })
    attempts[between]()
    t.equal(attempts.after(gone, { now: SETTLE, isArchived: false }).kind, 'again', between)
  }
  const mixed = decide(new Attempts(SETTLE), [
    [0, gone],
    [1, short],
    [SETTLE, gone],
  ])
  t.same(kinds(mixed), ['again', 'again', 'again'])
})

t.test('a batch that was in progress again has missed nothing so far', async t => {
  const attempts = new Attempts(SETTLE)
  decide(
    attempts,
    [0, 1, 2, 3].map(now => [now, short]),
  )
  attempts.restart()
  t.equal(attempts.after(short, { now: SETTLE, isArchived: false }).kind, 'again')
  t.equal(attempts.after(short, { now: 2 * SETTLE, isArchived: false }).kind, 'accept')
})

t.test('what is archived does not come back', async t => {
  t.same(kinds(decide(new Attempts(SETTLE), [[0, gone]], true)), ['accept'])
  const five = decide(
    new Attempts(SETTLE),
    [0, 0, 0, 0, 0].map(now => [now, short]),
    true,
  )
  t.same(kinds(five), [...Array(4).fill('again'), 'accept'])
})

t.test('lines that contradict the counts for good are rejected', async t => {
  for (const isGone of [true, false]) {
    const odd: Outcome = { ...short, isGone, odd: 'two lines too many' }
    const decided = decide(
      new Attempts(SETTLE),
      [0, 0, 0, 0, SETTLE].map(now => [now, odd]),
    )
    t.same(decided.at(-1), { kind: 'reject', why: 'two lines too many' })
  }
})

t.test('a set that is invalid five times is suspect, whatever came in between', async t => {
  const decided = decide(
    new Attempts(SETTLE),
    [invalid, invalid, short, invalid, gone, invalid, invalid].map(outcome => [0, outcome]),
  )
  t.same(decided.at(-1), { kind: 'suspect', why: 'a line is cut' })
  t.same(kinds(decided.slice(0, -1)), Array(6).fill('again'))
  t.match(decided[1], { failures: 2, mostMs: Infinity })
})
