// What remains after SIGKILL at any moment; the emulator decides when.
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { echo, type FaultCall, type FaultEffect } from '../../lib/emulator/index.ts'
import { csv, everythingIn, KEY, nextWords, placeFor, rowsOf, type Place } from '../cli/world.ts'
import { ASK, start, where } from './program.ts'

// Starts twenty processes, on a machine that may be busy.
t.setTimeout(300_000)

/** A faults function that a test can replace, and that reports the latest call. */
class Script {
  readonly came: string[] = []
  effect: (call: FaultCall) => FaultEffect | undefined = () => undefined

  faults = (call: FaultCall): FaultEffect | undefined => {
    this.came.push(call.op)
    return this.effect(call)
  }
}

const big = (rows: number): string =>
  csv(rows).replaceAll(/text (\d)/g, `text $1 ${'x'.repeat(3_000_000)}`)

interface Kill {
  readonly name: string
  readonly op: FaultCall['op']
  readonly effect: FaultEffect
  readonly input?: string
  /** Batches that the API accepted before the kill. */
  readonly accepted: number
}

const KILLS: readonly Kill[] = [
  // The body is larger than what sockets hold, so its last byte cannot have been sent.
  {
    name: 'C01 before it is armed',
    op: 'create',
    effect: { when: 'early', bytes: 1000, stallMs: 'forever' },
    input: big(3),
    accepted: 0,
  },
  {
    name: 'C02 armed, before the last byte arrives',
    op: 'create',
    effect: { when: 'early', bytes: -1, stallMs: 'forever' },
    accepted: 0,
  },
  {
    name: 'C03 after the last byte',
    op: 'create',
    effect: { when: 'after', stallMs: 'forever' },
    accepted: 1,
  },
  {
    name: 'C04 in the middle of the reply',
    op: 'create',
    effect: { when: 'after', stallAfterBytes: 40 },
    accepted: 1,
  },
  { name: 'C05 when the id is known', op: 'retrieve', effect: { stallMs: 'forever' }, accepted: 1 },
  { name: 'C06 in a download', op: 'results', effect: { stallAfterBytes: 300 }, accepted: 1 },
]

for (const { name, op, effect, input = csv(3), accepted } of KILLS) {
  t.test(`kill -9: ${name}`, async t => {
    const script = new Script()
    const place = await placeFor(t, { faults: script.faults })
    script.effect = call => (call.op === op ? effect : undefined)
    const out = place.path('out.jsonl')
    const words = [...where(place), ...ASK, '--job', 'a', '-o', out]
    const first = start(t, words, input)
    await first.until(() => script.came.includes(op) && armed(place, name))
    await first.until(() => place.emulator.ledger.batches().length >= accepted)
    first.child.kill('SIGKILL')
    await first.ended
    script.effect = () => undefined
    t.equal(place.emulator.ledger.batches().length, accepted)
    // C21: the same command resumes the job, and no lock blocks it (C17).
    const again = await start(t, words, input).ended
    t.equal(again.code, 0, again.err)
    t.match(again.err, 'resuming job a')
    await check(t, place, input)
  })
}

function armed(place: Place, name: string): boolean {
  if (!name.startsWith('C02')) return true
  return readFileSync(join(place.state, 'jobs/a/journal.jsonl'), 'utf8').includes('"armed"')
}

async function check(t: Test, place: Place, input: string): Promise<void> {
  const rows = rowsOf(place.read('out.jsonl'))
  const texts = input
    .split('\n')
    .slice(1, -1)
    .map(line => line.replace(/^\d,/, ''))
  t.same(
    rows.map(row => row.response),
    texts.map(one => echo(`Say ${one}`)),
  )
  t.match(await place.emulator.ledger.totals(), { billed: 3, billedTwice: 0, acceptedTwice: 0 })
  t.notMatch(everythingIn(place.state), KEY)
}

t.test('C09 two crashes during recovery change nothing', async t => {
  const script = new Script()
  const place = await placeFor(t, { faults: script.faults })
  const words = [...where(place), ...ASK, '--job', 'a', '-o', place.path('out.jsonl')]
  for (const [op, effect] of [
    ['create', { when: 'after', stallMs: 'forever' }],
    ['list', { stallMs: 'forever' }],
    ['results', { stallMs: 'forever' }],
  ] as const) {
    script.came.length = 0
    script.effect = call => (call.op === op ? effect : undefined)
    const running = start(t, words, csv(3))
    await running.until(
      () => script.came.includes(op) && place.emulator.ledger.batches().length === 1,
    )
    running.child.kill('SIGKILL')
    await running.ended
  }
  script.effect = () => undefined
  t.equal((await start(t, words, csv(3)).ended).code, 0)
  await check(t, place, csv(3))
})

t.test('N41 kills between an unknown batch id and the rows of its batch cost nothing', async t => {
  const script = new Script()
  const place = await placeFor(t, { faults: script.faults })
  const words = [...where(place), ...ASK, '--job', 'a', '-o', place.path('out.jsonl')]
  const journal = (): string => readFileSync(join(place.state, 'jobs/a/journal.jsonl'), 'utf8')
  const wrong: FaultEffect = { replyId: 'msgbatch_wrong' }
  const stall: FaultEffect = { stallMs: 'forever' }
  const steps: readonly [stalled: FaultCall['op'], isReached: () => boolean][] = [
    // The id is known, and not yet that it is wrong.
    ['retrieve', () => journal().includes('msgbatch_wrong')],
    // The search lists, and then reads the results of a candidate.
    ['list', () => script.came.includes('list')],
    ['results', () => journal().includes('"candidate"')],
  ]
  for (const [op, isReached] of steps) {
    script.came.length = 0
    script.effect = call => (call.op === 'create' ? wrong : call.op === op ? stall : undefined)
    const running = start(t, words, csv(3))
    await running.until(() => script.came.includes(op) && isReached())
    running.child.kill('SIGKILL')
    await running.ended
  }
  // Adopted, and its results are not here yet.
  let proofs = 0
  script.effect = ({ op }) => (op === 'results' && ++proofs > 1 ? stall : undefined)
  const running = start(t, words, csv(3))
  await running.until(() => journal().includes('"adopted":true') && proofs > 1)
  running.child.kill('SIGKILL')
  await running.ended
  script.effect = () => undefined
  const last = await start(t, words, csv(3)).ended
  t.equal(last.code, 0, last.err)
  t.equal(place.emulator.ledger.batches().length, 1)
  await check(t, place, csv(3))
})

t.test('C07 rows after the last commit are truncated', async t => {
  const place = await placeFor(t, {
    batchTimeMs: ({ number }) => (number === 1 ? 20 : 3_600_000),
    cancelTimeMs: 20,
  })
  const out = place.path('out.jsonl')
  const words = [...where(place), ...ASK, '--batch-size', '2', '-o', out]
  const running = start(t, words, csv(3))
  await running.until(() => existsSync(out) && statSync(out).size > 0)
  running.child.kill('SIGKILL')
  await running.ended
  appendFileSync(out, '{"id":"2","torn')
  // The job records how far it may write before it writes, so these bytes count as its own.
  const [job = ''] = readdirSync(join(place.state, 'jobs'))
  const mark = join(place.state, 'jobs', job, 'output.end')
  const [bootedAt] = readFileSync(mark, 'latin1').split(' ')
  writeFileSync(mark, `${bootedAt} 0 ${statSync(out).size} `.padEnd(63) + '\n')
  const [batch] = place.emulator.ledger.batches().slice(1)
  await place.run(['cancel', batch?.id ?? '', '-y'])
  const again = await start(t, words, csv(3)).ended
  t.equal(again.code, 3)
  t.same(
    rowsOf(readFileSync(out, 'utf8')).map(row => row['id']),
    ['0', '1', '2'],
  )
  t.notOk(existsSync(`${out}.cut-1`))
})

t.test('a job whose pipe broke off names what it needs, and resumes with it', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  const words = [...where(place), ...ASK, '--batch-size', '2']
  const running = start(t, words)
  running.child.stdin?.write(csv(30))
  await running.until(() => place.emulator.ledger.batches().length > 1)
  running.child.kill('SIGKILL')
  await running.ended
  const [job = ''] = readdirSync(join(place.state, 'jobs'))
  for (const { id } of place.emulator.ledger.batches()) await place.run(['cancel', id, '-y'])
  const resumed = await place.run(['resume', job])
  t.equal(resumed.code, 6)
  t.match(resumed.err, 'ended before its input was read completely')
  t.match(
    resumed.said.at(-1),
    /^to continue, with the same input again: claude-batch-stream --state-dir/,
  )
  const detached = await start(t, [...nextWords(resumed), '--detach'], csv(30)).ended
  t.equal(detached.code, 0, detached.err)
  t.match(await place.emulator.ledger.totals(), { accepted: 30, acceptedTwice: 0 })
})
