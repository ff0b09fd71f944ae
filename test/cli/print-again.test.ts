// The command of a finished job prints its rows again, and with -o and --errors the files have the newest rows.
import { appendFileSync, copyFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { csv, nextWords, placeFor, rowsOf, until, type Place, type Ran, type Row } from './world.ts'

/** The first batch's first two requests fail once. */
const FAILING = {
  faults: ({ op, batch }: { readonly op: string; readonly batch?: number | undefined }) =>
    op === 'create' && batch === 1
      ? { errored: [{ index: [0, 1], error: { type: 'api_error' } }] }
      : undefined,
}

interface Job {
  readonly place: Place
  /** Runs the command of the job. */
  readonly run: () => Promise<Ran>
  /** The rows of a file. */
  readonly rows: (name: string) => Row[]
}

/** A job of four records, two of which have failed. */
async function failedJob(
  t: Test,
  flags: readonly string[],
  files: readonly string[],
): Promise<Job> {
  const place = await placeFor(t, FAILING)
  const named = files.map(word => (word.startsWith('-') ? word : place.path(word)))
  const words = ['-p', 'Say {{text}}', '--job', 'a', '--retries', '0', '--no-preflight']
  const run = (): Promise<Ran> => place.run([...words, ...flags, ...named], { stdin: csv(4) })
  t.equal((await run()).code, 3)
  return { place, run, rows: name => rowsOf(place.read(name)) }
}

const idsOf = (rows: readonly Row[]): unknown[] => rows.map(({ id }) => id).sort()
const failedIn = (rows: readonly Row[]): number =>
  rows.filter(({ _batch }) => _batch?.status !== 'succeeded').length

for (const flags of [[], ['--order', 'input']])
  void t.test(`after a retry, -o has each record's newest row ${flags.join(' ')}`, async t => {
    const { place, run, rows } = await failedJob(t, flags, ['-o', 'out.jsonl'])
    t.equal(failedIn(rows('out.jsonl')), 2)
    t.equal((await place.run(['retry', 'a'])).code, 0)
    for (const turn of [1, 2]) {
      const again = await run()
      t.match(again, { code: 0, err: /4 rows: 4 succeeded/ }, `time ${turn}`)
      t.same([idsOf(rows('out.jsonl')), failedIn(rows('out.jsonl'))], [['0', '1', '2', '3'], 0])
    }
    t.equal((await place.emulator.ledger.totals()).accepted, 6)
  })

for (const flags of [[], ['--order', 'input']])
  void t.test(`so have -o and --errors together ${flags.join(' ')}`, async t => {
    const files = ['-o', 'out.jsonl', '--errors', 'failed.jsonl']
    const { place, run, rows } = await failedJob(t, flags, files)
    t.same(
      [idsOf(rows('out.jsonl')), idsOf(rows('failed.jsonl'))],
      [
        ['2', '3'],
        ['0', '1'],
      ],
    )
    await place.run(['retry', 'a'])
    t.equal((await run()).code, 0)
    t.same([idsOf(rows('out.jsonl')), idsOf(rows('failed.jsonl'))], [['0', '1', '2', '3'], []])
  })

void t.test('the rows go to stdout again, and failed ones to the same --errors file', async t => {
  const { place, run, rows } = await failedJob(t, [], ['--errors', 'failed.jsonl'])
  for (const turn of [1, 2, 3]) {
    const again = await run()
    t.same([again.code, idsOf(again.rows)], [3, ['2', '3']], `time ${turn}`)
    t.same(idsOf(rows('failed.jsonl')), ['0', '1'])
  }
  await place.run(['retry', 'a'])
  const last = await run()
  t.same([last.code, idsOf(last.rows), rows('failed.jsonl')], [0, ['0', '1', '2', '3'], []])
})

const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  'has more at its end': path => appendFileSync(path, 'mine\n'),
  'was edited': path => writeFileSync(path, 'm'.repeat(statSync(path).size)),
  'was replaced': path => {
    copyFileSync(path, `${path}.new`)
    appendFileSync(`${path}.new`, 'mine\n')
    renameSync(`${path}.new`, path)
  },
}

for (const [name, change] of Object.entries(CHANGES))
  for (const file of ['out.jsonl', 'failed.jsonl'])
    void t.test(`${file} that ${name} is not written again`, async t => {
      const files = ['-o', 'out.jsonl', '--errors', 'failed.jsonl']
      const { place, run } = await failedJob(t, [], files)
      await place.run(['retry', 'a'])
      change(place.path(file))
      const before = place.read(file)
      t.match(await run(), { code: 6, err: file })
      t.equal(place.read(file), before)
    })

void t.test(
  'an --errors file of rows on stdout that was replaced is not written again',
  async t => {
    const { place, run } = await failedJob(t, [], ['--errors', 'failed.jsonl'])
    CHANGES['was replaced']?.(place.path('failed.jsonl'))
    const before = place.read('failed.jsonl')
    t.match(await run(), { code: 6, err: 'failed.jsonl has changed since the last run' })
    t.equal(place.read('failed.jsonl'), before)
  },
)

void t.test('an interrupted retry is continued first, and nothing is paid for again', async t => {
  let slow = false
  const place = await placeFor(t, { ...FAILING, batchTimeMs: () => (slow ? 1500 : 10) })
  const words = ['-p', 'Say {{text}}', '--retries', '0', '--no-preflight']
  const first = await place.run(words, { stdin: csv(4) })
  const [, job = ''] = /^job (\S+):/m.exec(first.err) ?? []
  slow = true
  const { world, ended } = place.start(['retry', job])
  await until(() => place.read(`state/jobs/${job}/journal.jsonl`).split('"submitted"').length === 3)
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  const stopped = place.start(words, { stdin: csv(4) })
  await until(() => stopped.world.stderr.text.includes('an interrupted retry is continued'))
  stopped.world.emit('SIGINT', 'SIGINT')
  const ran = await stopped.ended
  t.equal(ran.code, 130)
  t.match(nextWords(ran).slice(0, 2), ['resume', job])
  const again = await place.run(words, { stdin: csv(4) })
  t.same([again.code, idsOf(again.rows), failedIn(again.rows)], [0, ['0', '1', '2', '3'], 0])
  t.match(again.err, `job ${job} already has the answers`)
  t.match(again.err, 'an interrupted retry is continued')
  t.equal((await place.run(['retry', job])).rows.length, 2, 'the retry prints its own rows')
  t.equal((await place.emulator.ledger.totals()).accepted, 6)
})
