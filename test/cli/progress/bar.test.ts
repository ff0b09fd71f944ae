import t, { type Test } from 'tap'
import { ProgressBar } from '../../../lib/cli/progress/bar.ts'
import { Talk } from '../../../lib/cli/talk.ts'
import { HandClock } from '../../support/hand-clock.ts'
import { Collected } from '../world.ts'
import { begun, MINUTE, reported, sealedOf, submittedAt } from './reports.ts'

const CLEAR = '\r\u001b[J'

function barFor(t: Test, columns = 0) {
  const stderr = Object.assign(new Collected(), { isTTY: true, columns })
  const talk = new Talk(stderr, false, 0)
  const clock = new HandClock()
  const bar = new ProgressBar(stderr, talk, clock)
  const end = () => bar.write(reported({ type: 'exit', code: 0, next: null }))
  t.teardown(end)
  /** Offset of the lines that were already read. */
  let seen = 0
  const drawn = (): string[] => {
    const text = stderr.text.slice(seen)
    seen = stderr.text.length
    return text
      .split(CLEAR)
      .slice(1)
      .map(line => line.replace(/\r$/, ''))
  }
  return { stderr, talk, clock, bar, drawn, end }
}

t.test('a line is drawn when work begins, and each second while batches run', async t => {
  const { bar, clock, drawn } = barFor(t)
  bar.write(reported(begun({ records: 5, complete: true })))
  t.same(drawn(), ['5 records, 0 of about 1 batch done, 0 rows'])
  await clock.pass(10_000)
  t.same(drawn(), [], 'nothing has changed')
  bar.write(reported(sealedOf(1, 5, 5)))
  bar.write(reported(submittedAt(1, clock.now())))
  await clock.pass(3_500)
  t.same(
    drawn().map(line => line.split(', ').at(-1)),
    ['1 running: 0s', '1 running: 1s', '1 running: 2s', '1 running: 3s'],
  )
})

t.test('the line is drawn at most five times a second', async t => {
  const { bar, clock, drawn } = barFor(t)
  bar.write(reported(begun()))
  for (let number = 1; number <= 1000; number++) {
    bar.write(reported(sealedOf(number, number, 1)))
    await clock.pass(1)
  }
  await clock.pass(200)
  const lines = drawn()
  t.ok(lines.length >= 5 && lines.length <= 7, String(lines.length))
  t.match(lines.at(-1), '0 of at least 1,000 batches done')
})

t.test('records are counted while they are read, without an event for each', async t => {
  const { bar, clock, drawn } = barFor(t)
  let read = 7
  bar.count(() => read)
  bar.write(reported(begun()))
  read = 4000
  await clock.pass(1000)
  t.match(drawn(), [/^7 records so far/, /^4,000 records so far/])
})

t.test('a terminal that gets narrower gets a shorter line at once', async t => {
  const { bar, clock, drawn, stderr } = barFor(t, 60)
  bar.write(reported(begun({ records: 12, complete: true })))
  await clock.pass(500)
  t.same(drawn(), ['12 records, 0 of about 1 batch done, 0 rows'])
  stderr.columns = 20
  stderr.emit('resize')
  await clock.pass(0)
  t.same(drawn(), ['12 records'])
})

t.test('a message replaces the line, which is drawn again below', async t => {
  const { bar, clock, talk, stderr } = barFor(t)
  bar.write(reported(begun()))
  talk.info('a message')
  await clock.pass(1000)
  const line = '0 records so far, 0 batches done, 0 rows'
  t.equal(stderr.text, `${CLEAR}${line}\r${CLEAR}a message\n${CLEAR}${line}\r`)
})

t.test('at the end no line, timer or listener is left', async t => {
  const { bar, clock, stderr, end } = barFor(t)
  bar.write(reported(begun()))
  end()
  t.match(stderr.text, /\r\u001b\[J$/)
  t.equal(stderr.listenerCount('resize'), 0)
  await clock.pass(MINUTE)
  t.equal(clock.sleepers.size, 0)
})

t.test('nothing is drawn over a question', async t => {
  const { bar, clock, talk, drawn } = barFor(t)
  bar.write(reported(begun()))
  const go = talk.hold()
  drawn()
  bar.write(reported(sealedOf(1, 5, 5)))
  await clock.pass(5000)
  t.same(drawn(), [])
  go()
  await clock.pass(1000)
  t.match(drawn(), [/0 of at least 1 batch done/])
})
