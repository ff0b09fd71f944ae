import t from 'tap'
import { Plain } from '../../../lib/cli/progress/plain.ts'
import { Talk } from '../../../lib/cli/talk.ts'
import { HandClock } from '../../support/hand-clock.ts'
import { Collected, csv, placeFor } from '../world.ts'
import { begun, endedAt, MINUTE, reported, sealedOf, submittedAt } from './reports.ts'

const partOf = (number: number, requests: number) => ({
  ...{ number, requests, attempt: 1, next: 300, records: requests, bytes: 1, hash: '' },
})

t.test('a line for each important event, and one a minute otherwise', async t => {
  const stderr = new Collected()
  const clock = new HandClock()
  const plain = new Plain(new Talk(stderr, false, 0), clock)
  const said = (): string[] => stderr.chunks.splice(0).map(chunk => String(chunk).trimEnd())
  const tell = (...events: readonly Parameters<typeof reported>[0][]): void => {
    for (const event of events) plain.write(reported(event))
  }
  tell(begun(), sealedOf(1, 5000, 5000))
  await clock.pass(10 * MINUTE)
  t.same(said(), [], 'nothing runs')

  const kept = { type: 'spooled', records: 5000, bytes: 1, complete: true } as const
  tell({ ...kept, complete: false }, kept, kept, submittedAt(1, clock.now()))
  t.same(said(), ['5,000 records read', 'batch 1: 5,000 requests submitted as msgbatch_1'])

  await clock.pass(3 * MINUTE)
  t.same(
    said(),
    ['1m', '2m', '3m'].map(
      age => `waiting: 5,000 records, 0 of 1 batch done, 0 rows, 1 running: ${age}`,
    ),
  )
  tell(
    endedAt(1, clock.now()),
    { type: 'rows', number: 1, rows: 5000 },
    { type: 'split', number: 2, into: [partOf(3, 299), partOf(4, 1)] },
    { type: 'split', number: 5, into: [] },
    submittedAt(9, 0),
    endedAt(8, 0),
    { type: 'submitted', number: 10, id: 'msgbatch_10', at: 0, adopted: true },
  )
  t.same(said(), [
    'batch 1: ended after 3m',
    'batch 1: rows written, 5,000 in total',
    'batch 2: split into batches 3 (299 requests) and 4 (1 request)',
    'batch 9: 0 requests submitted as msgbatch_9',
    'batch 8: ended',
    'batch 10: 0 requests found as msgbatch_10',
  ])
  await clock.pass(59_000)
  t.same(said(), [])
  tell({ type: 'exit', code: 0, next: null })
  await clock.pass(MINUTE)
  t.same([said(), clock.sleepers.size], [[], 0])
})

t.test('a run in a pipe or on a dumb terminal prints events; -q hides them', async t => {
  const place = await placeFor(t)
  const ask = ['-p', 'Say {{text}}']
  const progress = { CLAUDE_BATCH_STREAM_PROGRESS: undefined }
  const env = { ...place.env, ...progress }
  const { said } = await place.run(ask, { stdin: csv(3), env })
  t.match(said.slice(0, 4), [
    '3 records read',
    /^batch 1: 3 requests submitted as msgbatch_\w+$/,
    /^batch 1: ended after \d+s$/,
    'batch 1: rows written, 3 in total',
  ])
  const dumb = place.start([...ask, '--fresh'], { stdin: csv(3), env: { ...env, TERM: 'dumb' } })
  dumb.world.stderr.isTTY = true
  t.notMatch((await dumb.ended).err, '\u001b')
  const quiet = await place.run([...ask, '--fresh', '-q', '--progress', 'plain'], { stdin: csv(3) })
  t.equal(quiet.err, '')
  const bar = await place.run([...ask, '--fresh', '--progress', 'bar'], { stdin: csv(3) })
  t.match(bar.err, /^\r\u001b\[J0 records so far/, 'who wants a line has it')
})

t.test('rows and progress share a terminal: the line is cleared before a row', async t => {
  const place = await placeFor(t)
  const screen = Object.assign(new Collected(), { isTTY: true })
  const { world, ended } = place.start(
    ['-p', 'x {{text?}}', '--progress', 'auto', '--to', 'text'],
    {
      stdin: csv(3),
      stdout: screen,
    },
  )
  world.stderr.isTTY = true
  // One screen shows stdout and stderr.
  screen.on('told', () => world.stderr.write(screen.chunks.at(-1)))
  t.equal((await ended).code, 0)
  t.match(world.stderr.text, /\r\u001b\[J0 records so far/)
  t.match(screenOf(world.stderr.text), [
    /^echo \w+: x text \d$/,
    /^echo \w+: x text \d$/,
    /^echo \w+: x text \d$/,
    /^job .*: 3 rows/,
    /^job .*: spent/,
    /^$/,
  ])
})

/** The final lines of a terminal after this output. */
function screenOf(text: string): string[] {
  return text.split('\n').map(line => {
    let shown = ''
    for (const part of line.split('\r')) {
      if (part.startsWith('\u001b[J')) shown = part.slice('\u001b[J'.length)
      else shown = part + shown.slice(part.length)
    }
    return shown
  })
}
