// What docs/operations.md says of each exit code, cause by cause.
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { PassThrough, Writable } from 'node:stream'
import t, { type Test } from 'tap'
import type { EmulatorOptions, FaultRule } from '../../lib/emulator/index.ts'
import { openJob } from '../../lib/store/open.ts'
import { csv, journaled, placeFor, run, until, type Place, type WorldOptions } from './world.ts'
import { needs } from '../support/needs.ts'

const ASK = ['-p', 'Say {{text}}', '--job', 'a']
const KEPT_HOUR: EmulatorOptions = { batchTimeMs: 3_600_000 }

const jobsOf = ({ state }: Place): readonly string[] =>
  existsSync(join(state, 'jobs')) ? readdirSync(join(state, 'jobs')) : []

const error = (message: string, more = {}): Omit<FaultRule, 'on'> => ({
  ...{ status: 400, error: { type: 'invalid_request_error', message, ...more } },
})

interface Cause {
  readonly code: number
  /** What the command says. @default ASK */
  readonly words?: readonly string[]
  readonly options?: EmulatorOptions
  readonly world?: WorldOptions
  readonly says?: RegExp
}

const refused = (fault: Omit<FaultRule, 'on'>): EmulatorOptions => ({
  faults: [{ on: 'create', ...fault }],
})

/** Causes before anything is at the API: they leave no job, and no empty output file. */
const UNSENT: Readonly<Record<string, Cause>> = {
  'a wrong flag': { code: 2, words: [...ASK, '--batch-size', 'x'] },
  'an unknown model': { code: 2, words: [...ASK, '-m', 'haiku'] },
  'a first request that would be refused': {
    code: 2,
    options: { faults: [{ on: 'count_tokens', ...error('no') }] },
  },
  '--max-invalid': {
    code: 4,
    words: ['-p', '{{text}} {{id}}', '--job', 'a', '--max-invalid', '1'],
    world: { stdin: '{"text":1,"id":1}\n{}\n{}\n' },
    says: /more than --max-invalid allows/,
  },
  'a request that is refused like all others': {
    code: 4,
    options: refused(error('no tools')),
    says: /the API refuses every request/,
  },
  'a key that is refused': { code: 5, options: { keys: { other: 'wrkspc_1' } } },
  'a create that is forbidden': { code: 5, options: refused({ status: 403 }) },
  'a credit balance that is too low': {
    code: 5,
    options: refused(error('Your credit balance is too low')),
  },
  'a spend limit': {
    code: 5,
    options: refused({ status: 429, error: { error_code: 'enforced_spend_limit_reached' } }),
  },
  'input of another encoding': { code: 6, world: { stdin: Buffer.from('text\na\n', 'utf16le') } },
  'a field that the first records do not have': { code: 6, words: ['-p', '{{nope}}'] },
  'a redirect before the last byte': {
    code: 8,
    options: refused({ when: 'early', bytes: -1, redirect: 'http://127.0.0.1:9/' }),
  },
  'a redirect of the preflight': {
    code: 8,
    options: { faults: [{ on: 'count_tokens', redirect: 'http://127.0.0.1:9/' }] },
  },
  'an API that stays away': {
    code: 8,
    words: [...ASK, '--no-preflight', '--base-url', 'http://127.0.0.1:9'],
    world: { clock: leaping() },
  },
  'a state folder that cannot be made': { code: 9, words: [...ASK, '--state-dir', '/dev/null/x'] },
}

/** A clock on which every wait is over at once. */
function leaping(): NonNullable<WorldOptions['clock']> {
  let elapsed = 0
  return {
    now: () => Date.parse('2026-11-20T12:00:00Z') + elapsed,
    elapsed: () => elapsed,
    sleep: async (ms, signal) => {
      await turn()
      signal?.throwIfAborted()
      elapsed += ms
    },
  }
}

async function ranWith(place: Place, { words = ASK, world }: Cause, more: readonly string[] = []) {
  return await place.run([...words, ...more], { stdin: csv(3), ...world })
}

for (const [name, cause] of Object.entries(UNSENT))
  for (const detach of [false, true])
    t.test(
      `R05: ${cause.code} for ${name}${detach ? ' with --detach' : ''}, and no job`,
      async t => {
        const place = await placeFor(t, cause.options)
        const out = place.path('out.jsonl')
        const ran = await ranWith(place, cause, ['-o', out, ...(detach ? ['--detach'] : [])])
        t.equal(ran.code, cause.code, ran.err)
        if (cause.says) t.match(ran.err, cause.says)
        t.same(jobsOf(place), [])
        t.notOk(existsSync(out), 'no output file is left')
        t.notMatch(ran.err, /to continue/)
        t.match(await place.run(['resume', '-q']), { code: 2, out: '', err: '' })
        t.equal((await place.emulator.ledger.totals()).accepted, 0)
      },
    )

t.test('once the cause is fixed, the same command produces all rows', async t => {
  const place = await placeFor(t, { faults: [{ on: 'create', nth: 1, status: 403 }] })
  const words = [...ASK, '-o', place.path('out.jsonl')]
  t.equal((await place.run(words, { stdin: csv(3) })).code, 5)
  t.equal((await place.run(words, { stdin: csv(3) })).code, 0)
  t.equal(place.read('out.jsonl').split('\n').length, 4)
})

t.test('0: finished, and the same command again is free', async t => {
  const place = await placeFor(t)
  for (let run = 0; run < 2; run++) {
    const ran = await place.run(ASK, { stdin: csv(3) })
    t.same([ran.code, ran.rows.length], [0, 3])
  }
  t.equal((await place.run(['-p', 'Say {{text}}'], { stdin: '' })).code, 0, 'no records')
})

t.test('3: finished, and some rows failed or were skipped', async t => {
  let asked = 0
  const failure = { error: { type: 'invalid_request_error', message: 'no' } }
  const place = await placeFor(t, { respond: () => (asked++ === 0 ? failure : 'yes') })
  t.equal((await place.run(ASK, { stdin: csv(3) })).code, 3)
  const stdin = '{"text":"a","_batch":{"status":"errored"}}\n{"text":"b"}\n{"text":"c"}\n'
  t.equal((await place.run(['-p', 'Say {{text}}'], { stdin })).code, 3)
})

t.test('4: at its cap a run keeps the job, for a higher cap', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--max-cost', '0.000001'], { stdin: csv(3) })
  t.equal(ran.code, 4)
  const again = await place.again(ran)
  t.same([again.code, again.rows.length], [0, 3])
})

t.test('4: a canary without a success, and a first batch of which every row failed', async t => {
  const options: EmulatorOptions = {
    respond: () => ({ error: { type: 'invalid_request_error', message: 'no' } }),
  }
  for (const more of [
    ['--canary', '2'],
    ['--batch-size', '2', '-c', '1'],
  ]) {
    const place = await placeFor(t, options)
    const ran = await place.run([...ASK, ...more], { stdin: csv(20) })
    t.equal(ran.code, 4, ran.err)
    t.ok(ran.rows.length >= 2, 'its rows are there')
  }
})

t.test(
  '6: other input or another command for a named job, and an output of another job',
  async t => {
    const place = await placeFor(t, {}, { theirs: 'x' })
    await place.run(ASK, { stdin: csv(3) })
    t.equal((await place.run(ASK, { stdin: csv(4) })).code, 6)
    t.equal((await place.run(['-p', 'Other {{text}}', '--job', 'a'], { stdin: csv(3) })).code, 6)
    for (const flag of ['-o', '--errors']) {
      const words = ['-p', 'Say {{text}}', '--job', 'b', flag, place.path('theirs')]
      t.equal((await place.run(words, { stdin: csv(3) })).code, 6)
    }
    t.same([jobsOf(place), place.read('theirs')], [['a'], 'x'])
  },
)

t.test('6: a pipe whose rest is lost', async t => {
  const { place } = await cutPipe(t)
  t.equal((await place.run(['resume', 'a'])).code, 6)
})

async function cutPipe(t: Test): Promise<{ place: Place }> {
  const place = await placeFor(t)
  const stdin = new PassThrough()
  const { ended, world } = place.start([...ASK, '--batch-size', '2'], { stdin })
  stdin.write(csv(30))
  await until(() => journaled(place, 'submitted', 'a'))
  world.emit('SIGTERM', 'SIGTERM')
  t.equal((await ended).code, 143)
  return { place }
}

t.test('7: another process is working on the job', async t => {
  const place = await placeFor(t, KEPT_HOUR)
  await place.run([...ASK, '--detach'], { stdin: csv(3) })
  const job = await openJob({ name: 'a', dir: place.state })
  t.equal((await place.run(['resume', 'a'])).code, 7)
  t.equal((await place.run(ASK, { stdin: csv(3) })).code, 7)
  await job.close()
})

t.test('8: results that cannot be trusted, until they can', async t => {
  const place = await placeFor(t, {
    faults: [{ on: 'results', nth: [1, 2, 3, 4, 5], lines: { double: 1 } }],
  })
  const ran = await place.run(ASK, { stdin: csv(3), clock: quick() })
  t.equal(ran.code, 8, ran.err)
  t.equal((await place.again(ran)).rows.length, 3)
})

/** The system's time, with waits of a few ms. */
function quick(): NonNullable<WorldOptions['clock']> {
  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, Math.min(ms, ms > 10_000 ? ms : 5))
        signal?.addEventListener('abort', () => {
          clearTimeout(timer)
          reject(signal.reason)
        })
      }),
  }
}

t.test('9: a full device, and the next command writes the rows', needs('/dev/full'), async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '-o', '/dev/full'], { stdin: csv(3) })
  t.equal(ran.code, 9, ran.err)
  t.equal((await place.run(['resume', 'a', '-o', '-'])).rows.length, 3)
})

t.test('10: a damaged job, or one of a newer version', async t => {
  const place = await placeFor(t, KEPT_HOUR)
  await place.run([...ASK, '--detach'], { stdin: csv(3) })
  const journal = join(place.state, 'jobs/a/journal.jsonl')
  const sound = readFileSync(journal)
  writeFileSync(journal, sound.toString().replace('"sealed"', '"sealeD"'))
  t.equal((await place.run(['resume', 'a'])).code, 10)
  const { formatLine, NO_SUM } = await import('../../lib/store/journal-line.ts')
  writeFileSync(journal, formatLine({ type: 'opened', version: 9, run: 'a', at: 0 }, NO_SUM).line)
  t.equal((await place.run(['resume', 'a'])).code, 10)
})

t.test('10: truncated records or results', async t => {
  for (const file of ['records.jsonl', 'batches/1.results']) {
    const place = await placeFor(t)
    await place.run(ASK, { stdin: csv(3) })
    truncateSync(join(place.state, 'jobs/a', file), 20)
    t.equal((await place.run(['results', 'a'])).code, 10, file)
  }
})

for (const [signal, code] of [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  t.test(`${code}: ${signal}, and the job resumes`, async t => {
    const place = await placeFor(t, { batchTimeMs: 200 })
    const { ended, world } = place.start(ASK, { stdin: csv(3) })
    await until(() => journaled(place, 'submitted', 'a'))
    world.emit(signal, signal)
    const ran = await ended
    t.equal(ran.code, code)
    t.equal((await place.again(ran)).rows.length, 3)
  })

t.test('141: the reader of stdout has left', async t => {
  const place = await placeFor(t)
  const gone = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
  const stdout = new Writable({ write: (_chunk, _encoding, done) => done(gone) })
  stdout.on('error', () => {})
  t.equal((await place.run(ASK, { stdin: csv(3), stdout })).code, 141)
  t.equal((await place.run(['resume', 'a'])).rows.length, 3)
})

t.test('a mistyped base URL is not shown if it may hold a password', async t => {
  for (const command of [['-p', 'x'], ['doctor'], ['list', '--remote']])
    for (const url of ['user:s3cret@host', 'http://user:s3cret@', 'http://host/?key=s3cret']) {
      const ran = await run([...command, '--base-url', url, '--state-dir', t.testdirName], {
        stdin: 'a\n1\n',
        env: { ANTHROPIC_API_KEY: 'x' },
      })
      t.match(ran.err + ran.out, /--base-url must/, `${command} ${url}`)
      t.notMatch(ran.err + ran.out, 's3cret')
    }
})
