// --adopt: the user decides about batches whose ids were chosen with --id.
import t, { type Test } from 'tap'
import type { EmulatorOptions } from '../../lib/emulator/index.ts'
import { journalOf } from '../support/world.ts'
import { csv, FAST_CLOCK, nextWords, placeFor, wordsOf, type Place, type Ran } from './world.ts'

/** The reply to a create is lost; the API has the batch, or has not. */
const lost = (nth: number, when: 'before' | 'after'): EmulatorOptions => ({
  faults: [{ on: 'create', nth, when, reset: true }],
})

const asking = (prompt: string, job: string): string[] => [
  ...['-p', `${prompt} {{text}}`, '--id', 'row-{{id}}', '--job', job],
]

/** The commands that the end of a run names, by the value of --adopt. */
function commandsOf({ said }: Ran): Map<string, string[]> {
  const lines = said.filter(line => line.includes(' --adopt '))
  return new Map(
    lines.map(line => {
      const words = wordsOf(/: (claude-batch-stream .*)$/.exec(line)?.[1] ?? '').slice(1)
      return [`${words.at(-1)}`, words]
    }),
  )
}

function answeredBy(t: Test, { rows }: Ran, prompt: string): void {
  t.equal(rows.length, 3)
  for (const row of rows) t.match(row.response, prompt)
}

async function paid(t: Test, { emulator }: Place, accepted: number): Promise<void> {
  t.match(await emulator.ledger.totals(), { accepted, acceptedTwice: 0 })
}

void t.test('the rows of another job with the same ids never become rows', async t => {
  const place = await placeFor(t, lost(2, 'before'))
  const stdin = csv(3)
  const elsewhere = ['--state-dir', place.path('gone')]
  t.equal((await place.run([...asking('Praise', 'a'), ...elsewhere], { stdin })).code, 0)
  const ran = await place.run(asking('Blame', 'b'), { stdin })
  t.equal(ran.code, 4)
  t.equal(ran.out, '')
  const [other] = place.emulator.ledger.batches()
  t.match(ran.err, `batch 1. It may be ${other?.id} (created `)
  t.match(ran.err, /ids chosen with --id do not show which job sent them, so nothing more is sent/)
  t.match(ran.err, `if it does not belong to this job: claude-batch-stream resume b `)
  const commands = commandsOf(ran)
  t.same([...commands.keys()], [other?.id, 'none'])
  const again = await place.run(['resume', 'b'])
  t.equal(again.code, 4, 'the question stays')
  t.match((await place.run(['status', 'b'])).out, `may be ${other?.id}: \`resume\` finds out`)
  const resumed = await place.again(again)
  t.equal(resumed.code, 0)
  answeredBy(t, resumed, 'Blame')
  await paid(t, place, 6)
})

void t.test('two jobs whose replies are both lost get their own batches', async t => {
  const place = await placeFor(t, {
    faults: [1, 2].map(nth => ({ on: 'create', nth, when: 'after', reset: true })),
  })
  const stdin = csv(3)
  const ran = await place.run(asking('Praise', 'a'), { stdin })
  const [first] = place.emulator.ledger.batches()
  const second = await place.run(asking('Blame', 'b'), { stdin })
  t.same([ran.code, second.code], [4, 4])
  const [, other] = place.emulator.ledger.batches()
  const found = commandsOf(second)
  t.same([...found.keys()].sort(), [first?.id, other?.id, 'none'].sort())
  t.match(second.err, /if none of them belongs to this job/)
  const { code, out } = await place.run(['status', 'b'])
  t.equal(code, 0)
  t.match(out, / or msgbatch_/)
  const adopted = await place.run(['resume', 'b', '--adopt', `${other?.id}`])
  t.equal(adopted.code, 0)
  answeredBy(t, adopted, 'Blame')
  const rest = await place.run(['resume', 'a', '--adopt', `${first?.id}`])
  t.equal(rest.code, 0)
  answeredBy(t, rest, 'Praise')
  await paid(t, place, 6)
  const events = journalOf(`${place.state}/jobs/b`)
  t.ok(events.some(event => event.type === 'submitted' && event.adopted && event.id === other?.id))
})

void t.test('the decision can be given to the same command, and to an endless run', async t => {
  const place = await placeFor(t, { ...lost(1, 'after') })
  const stdin = csv(3)
  const words = [...asking('Praise', 'a'), '--batch-wait', '50ms']
  const ran = await place.run(words, { stdin })
  t.equal(ran.code, 4)
  const [real] = place.emulator.ledger.batches()
  const adopted = await place.run([...words, '--adopt', `${real?.id}`], { stdin })
  t.equal(adopted.code, 0)
  answeredBy(t, adopted, 'Praise')
  await paid(t, place, 3)
})

void t.test('an endless input does not keep a run that has a question', async t => {
  const place = await placeFor(t, { ...lost(1, 'after') })
  const { PassThrough } = await import('node:stream')
  const stdin = new PassThrough()
  stdin.write(csv(3))
  const ran = await place.run([...asking('Praise', 'a'), '--batch-wait', '50ms'], { stdin })
  t.equal(ran.code, 4)
  t.match(ran.err, /with the same input again: claude-batch-stream .* --adopt none/)
})

void t.test('a run that stops waiting does not wait for a decision', async t => {
  const place = await placeFor(t, { ...lost(1, 'after') })
  const ran = await place.run([...asking('Praise', 'a'), '--max-wait', '1s'], { stdin: csv(3) })
  t.equal(ran.code, 4)
})

void t.test('a retry asks, and its command continues', async t => {
  const place = await placeFor(t, {
    ...lost(2, 'after'),
    respond: (_, { attempt }) =>
      attempt === 1 ? { error: { type: 'invalid_request_error', message: 'no' } } : undefined,
  })
  const ran = await place.run(asking('Praise', 'a'), { stdin: csv(3) })
  t.equal(ran.code, 3)
  const retried = await place.run(['retry', 'a'])
  t.equal(retried.code, 4)
  t.match(nextWords(retried), ['retry', 'a'])
  const [, real] = place.emulator.ledger.batches()
  const adopted = await place.run(['retry', 'a', '--adopt', `${real?.id}`])
  t.equal(adopted.code, 0)
  answeredBy(t, adopted, 'Praise')
})

void t.test('a decision about a batch that is no candidate is refused', async t => {
  const place = await placeFor(t, lost(1, 'after'))
  await place.run(asking('Praise', 'a'), { stdin: csv(3) })
  const wrong = await place.run(['resume', 'a', '--adopt', 'msgbatch_other'])
  t.equal(wrong.code, 2)
  t.match(wrong.err, /--adopt msgbatch_other: no batch of job a may be that one/)
  const odd = await place.run(['resume', 'a', '--adopt', 'all'])
  t.equal(odd.code, 2)
  t.match(odd.err, /--adopt must be a batch id, or none, got "all"/)
})

void t.test('a batch with the id of another one is given up', async t => {
  let other = ''
  const place = await placeFor(t, {
    faults: ({ op, nth }) =>
      op === 'create' && nth === 1 ? { replyId: other, vanishAfterMs: 1 } : undefined,
  })
  other = await place.emulator.addForeign({ requests: 3 })
  const words = ['-p', '{{text}}', '--job', 'a']
  const ran = await place.run(words, { stdin: csv(3), clock: FAST_CLOCK })
  t.equal(ran.code, 8, ran.err)
  t.match(ran.err, 'give the batch up with --adopt none, which makes its rows `unanswered`')
  t.match(nextWords(ran), ['resume', 'a'])
  const given = await place.run(['resume', 'a', '--adopt', 'none'], { clock: FAST_CLOCK })
  t.equal(given.code, 3, given.err)
  t.same(
    given.rows.map(({ _batch }) => _batch?.status),
    ['unanswered', 'unanswered', 'unanswered'],
  )
  await paid(t, place, 3)
  const retried = await place.run(['retry', 'a'], { clock: FAST_CLOCK })
  t.equal(retried.code, 0, retried.err)
  answeredBy(t, retried, 'text')
})

void t.test('a decision about a batch that the job has already says so', async t => {
  const place = await placeFor(t, lost(1, 'after'))
  await place.run(asking('Praise', 'a'), { stdin: csv(3) })
  const [real] = place.emulator.ledger.batches()
  for (const isKnown of [false, true]) {
    const ran = await place.run(['resume', 'a', '--adopt', `${real?.id}`])
    t.equal(ran.code, 0)
    const says = `--adopt ${real?.id}: that is batch 1 of job a already`
    t.equal(ran.err.includes(says), isKnown)
  }
})

void t.test('a decision that was followed is not taken back', async t => {
  const place = await placeFor(t, lost(1, 'after'))
  await place.run(asking('Praise', 'a'), { stdin: csv(3) })
  const [real] = place.emulator.ledger.batches()
  t.equal((await place.run(['resume', 'a', '--adopt', 'none'])).code, 0)
  const ran = await place.run(['resume', 'a', '--adopt', `${real?.id}`])
  t.equal(ran.code, 2)
  t.match(
    ran.err,
    `${real?.id}, but that was ruled out for batch 1, which has been sent again since`,
  )
})

void t.test('a question ends the wait of other batches for the budget or the canary', async t => {
  for (const held of [
    ['--max-cost', '0.0007'],
    ['--canary', '2'],
  ]) {
    const place = await placeFor(t, lost(1, 'after'))
    // Batches of different sizes, since no two of the same size may be unresolved.
    const words = [...asking('Praise', 'a'), '-t', '100', '--batch-size', '2', ...held]
    const ran = await place.run(words, { stdin: csv(5) })
    t.equal(ran.code, 4, held.join(' '))
    const [real] = place.emulator.ledger.batches()
    t.ok(commandsOf(ran).has(`${real?.id}`), 'the commands that continue are named')
    const again = await place.run(['resume', 'a'])
    t.equal(again.code, 4, 'so are they for a job that is resumed')
    const more = ['--adopt', `${real?.id}`, '--max-cost', '1']
    const adopted = await place.run(['resume', 'a', ...more])
    t.same([adopted.code, adopted.rows.length], [0, 5])
    await paid(t, place, 5)
  }
})
