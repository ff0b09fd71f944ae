import Anthropic from '@anthropic-ai/sdk'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { lastUserText } from '../../lib/emulator/index.ts'
import { runBatches } from '../../lib/index.ts'
import { Collected, journaled, KEY, placeFor, until } from './world.ts'

const STDIN = '{"text":"a"}\n{"text":"b"}\n'
const respond = (params: object): string => (JSON.stringify(params).includes('Say b') ? '' : 'good')

/** A JSON Schema in a code block of the documentation, by its title. */
function documented(title: string): (value: unknown) => void {
  const text = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')
  const blocks = [...text.matchAll(/```json\n(\{[^`]*?)```/g)].map(([, json = '']) =>
    JSON.parse(json),
  )
  const schema = blocks.find(block => block.title === title)
  const validate = new Ajv2020({ strict: true }).compile(schema)
  return value => {
    if (!validate(value)) throw new Error(JSON.stringify(validate.errors))
  }
}

void t.test('list and status show date, state, rows, cost, model, prompt and note', async t => {
  const place = await placeFor(t, { respond })
  const note = 'first \u001b[31mtry'
  await place.run(['-p', 'Say {{text}}', '--job', 'one', '--note', note], { stdin: STDIN })
  const listed = await place.run(['list'])
  t.match(
    listed.out,
    /^one {2}finished {2}20\d\d-\d\d-\d\d \d\d:\d\d {2}2 of 2 {2}\$0\.0+\d+ {2}claude-haiku-5-5 {2}first \[31mtry\n$/,
  )
  const status = await place.run(['status', 'one'])
  t.match(
    status.out,
    /20\d\d-\d\d-\d\d \d\d:\d\d, claude-haiku-5-5\n {2}note: first \[31mtry\n {2}prompt: Say \{\{text\}\}\n/,
  )
})

void t.test('running jobs, jobs with failed rows and library jobs are listed as such', async t => {
  const place = await placeFor(t, {
    respond: params => (lastUserText(params) === 'Hi' ? { model: 'claude-unpriced-1' } : 'good'),
    batchTimeMs: ({ number }) => (number > 2 ? 3_600_000 : 20),
  })
  await place.run(['-p', 'Say {{text}}', '--job', 'half'], {
    stdin: '{"text":"a"}\n{}\n',
  })
  const client = new Anthropic({ baseURL: place.emulator.url, apiKey: KEY })
  const job = { name: 'own', dir: place.state }
  for await (const { status } of runBatches([{ a: 1 }], {
    client,
    job,
    poll: 10,
    prompt: 'Hi',
    model: 'claude-haiku-5-5',
  }))
    t.equal(status, 'succeeded')
  const { world, ended } = place.start(['-p', 'Say {{text}}', '--job', 'runs'], { stdin: STDIN })
  await until(() => journaled(place, 'submitted', 'runs'))
  const listed = await place.run(['list'])
  t.match(listed.out, /^half +finished +.* 2 of 2 \(1 failed\) +\$0\./m)
  t.match(listed.out, /^own +finished +- +1 of 1 +- +-$/m)
  t.match(listed.out, /^runs +running +.* 0 of 2 +\$0/m)
  await place.run(['prune', '--keep', '0s'])
  t.match((await place.run(['list'])).out, /^own .*\nruns .*\n$/, 'a job without a date is not old')
  world.emit('SIGTERM', 'SIGTERM')
  await ended
})

void t.test('on a terminal the list has a header', async t => {
  const place = await placeFor(t)
  await place.run(['-p', 'Say {{text}}', '--job', 'one'], { stdin: STDIN })
  const stdout = Object.assign(new Collected(), { isTTY: true })
  const listed = await place.run(['list'], { stdout })
  t.match(listed.out, /^JOB +STATE +DATE +ROWS +COST +MODEL +NOTE\none +finished/)
})

void t.test(
  'list --json and status --json match their documented schemas, for every kind of job',
  async t => {
    const place = await placeFor(t, { respond })
    const inList = documented('list --json')
    const inStatus = documented('status --json')
    await place.run(['-p', 'Say {{text}}', '--job', 'done', '--note', 'n'], { stdin: STDIN })
    await place.run(['--job', 'own', '--retries', '0'], { stdin: '{"prompt":"a"}\n{}\n' })
    await place.run(['-p', 'Say {{text}}', '--job', 'away', '--detach'], { stdin: STDIN })
    await place.run(['-p', 'Say {{text}}', '--job', 'bad'], { stdin: STDIN })
    writeFileSync(join(place.state, 'jobs/bad/journal.jsonl'), 'no journal\n')
    const listed = await place.run(['list', '--json'])
    t.equal(listed.rows.length, 4)
    for (const row of listed.rows) inList(row)
    t.match(
      listed.rows.map(({ job, state }) => [job, state]),
      [
        ['done', 'finished'],
        ['own', 'finished'],
        ['away', 'unfinished'],
        ['bad', 'damaged'],
      ],
    )
    t.match(listed.rows[0], { rows: { succeeded: 2 }, note: 'n', spent_usd: Number })
    t.match(listed.rows[1], { rows: { succeeded: 1, rejected: 1 }, model: null, prompt: null })
    for (const job of ['done', 'own', 'away', 'bad'])
      inStatus(JSON.parse((await place.run(['status', job, '--json'])).out))
  },
)

void t.test('the totals of a job are cached until another batch is fetched', async t => {
  const place = await placeFor(t)
  await place.run(['-p', 'Say {{text}}', '--job', 'j', '--detach'], { stdin: STDIN })
  const rows = async (): Promise<unknown> => (await place.run(['list', '--json'])).rows[0]?.['rows']
  t.same(await rows(), {})
  await place.run(['resume', 'j'])
  t.same(await rows(), { succeeded: 2 })
  const kept = join(place.state, 'jobs/j/totals.json')
  t.ok(existsSync(kept))
  writeFileSync(kept, readFileSync(kept, 'utf8').replace('"succeeded":2', '"succeeded":7'))
  t.same(await rows(), { succeeded: 7 }, 'they are read again')
  writeFileSync(kept, '{"torn')
  t.same(await rows(), { succeeded: 2 })
  rmSync(kept)
  t.same(await rows(), { succeeded: 2 })
})

void t.test('a long prompt is shortened, never within a character', async t => {
  const place = await placeFor(t)
  await place.run(['-p', `{{text}}${'😀'.repeat(300)}`, '--job', 'j'], { stdin: STDIN })
  const { prompt } = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.equal(prompt, `{{text}}${'😀'.repeat(192)}…`)
})

void t.test('prune --keep-last deletes all finished jobs but the newest', async t => {
  const place = await placeFor(t)
  const jobs = async (): Promise<string[]> =>
    (await place.run(['list', '--json'])).rows.map(({ job }) => String(job))
  for (const job of ['a', 'b', 'c', 'd'])
    await place.run(['-p', 'Say {{text}}', '--job', job], { stdin: STDIN })
  await place.run(['-p', 'Say {{text}}', '--job', 'away', '--detach'], { stdin: STDIN })
  t.match(await place.run(['prune', '--keep-last', 'x']), { code: 2, err: /--keep-last must be/ })
  const dry = await place.run(['prune', '--keep-last', '3', '-n'])
  t.equal(dry.err, 'would delete job a\n')
  await place.run(['prune', '--keep-last', '2'])
  t.same(await jobs(), ['c', 'd', 'away'])
  await place.run(['prune', '--keep-last', '1', '--keep', '1h'])
  t.same(await jobs(), ['c', 'd', 'away'], 'c is younger than an hour')
})
