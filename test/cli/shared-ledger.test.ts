// Jobs in a ledger, from machines that have nothing of them: each has a state folder of its own, which may be lost.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createEmulator, type Emulator, type EmulatorOptions } from '../../lib/emulator/index.ts'
import { loadDriver } from '../../lib/cli/ledger.ts'
import { openStoredJob } from '../../lib/store/open.ts'
import { postgresLedger } from '../../lib/store/postgres/ledger.ts'
import { lyingApi, type Lies } from '../support/lying-api.ts'
import {
  ledgerDatabase,
  NO_POSTGRES,
  PASSWORD,
  pglitePool,
  type LedgerDatabase,
} from '../support/postgres.ts'
import type { LedgerPool } from '../../lib/store/postgres/pool.ts'
import {
  Collected,
  csv,
  FAST_CLOCK,
  everythingIn,
  KEY,
  nextWords,
  QUICK,
  rowsOf,
  run,
  runIn,
  until,
  World,
  type Ran,
  type WorldOptions,
} from './world.ts'

const HOUR = 3_600_000

interface Machines {
  readonly emulator: Emulator
  readonly database: LedgerDatabase
  /** Runs a command on a machine. */
  on(machine: string, words: readonly string[], options?: WorldOptions): Promise<Ran>
  lose(machine: string): void
  path(name: string): string
  sent(): number
}

/** The commands that take flags for the API, and those that wait for it. */
const WITH_API = ['run', 'resume', 'retry', 'results', 'status', 'list', 'cancel']
const WAITING = ['run', 'resume', 'retry', 'results']

async function machines(t: Test, options: EmulatorOptions = {}, lies?: Lies): Promise<Machines> {
  const emulator = await createEmulator({ port: 0, batchTimeMs: 10, ...options })
  t.teardown(() => emulator.close())
  const url = lies ? await lyingApi(t, emulator.url, lies) : emulator.url
  const database = await ledgerDatabase(t)
  const dir = t.testdir({ 'in.csv': csv(10) })
  const { connectLedger } = database
  const env = { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: database.url }
  return {
    emulator,
    database,
    on: async (machine, [first = '', ...rest], more = {}) => {
      const isNamed = !first.startsWith('-')
      const command = isNamed ? first : 'run'
      const words = [
        ...[command, ...(isNamed ? rest : [first, ...rest])],
        ...['--state-dir', join(dir, machine)],
        ...(WITH_API.includes(command) ? ['--base-url', url] : []),
        ...(WAITING.includes(command) ? QUICK : []),
      ]
      const ran = await run(words, { env, connectLedger, ...more })
      t.notMatch(ran.out + ran.err, PASSWORD)
      if (existsSync(join(dir, machine))) t.notMatch(everythingIn(join(dir, machine)), PASSWORD)
      return ran
    },
    lose: machine => rmSync(join(dir, machine), { recursive: true, force: true }),
    path: name => join(dir, name),
    sent: () => emulator.ledger.batches().length,
  }
}

function ask({ path }: Machines, ...more: string[]): string[] {
  return ['-i', path('in.csv'), '-p', 'Say {{text}}', '--batch-size', '3', '--job', 'j', ...more]
}

function answersOf(jsonl: string): string[] {
  return rowsOf(jsonl).map(({ id, response, _batch }) => `${id} ${_batch?.status} ${response}`)
}

void t.test('every command works for a job of another machine', async t => {
  const world = await machines(t)
  const first = await world.on('a', ask(world, '--order', 'input'))
  t.equal(first.code, 0, first.err)
  const unnamed = { env: { ANTHROPIC_API_KEY: KEY } }
  t.match(await world.on('a', ['status', 'j'], unnamed), {
    code: 0,
    out: /^j {2}in ledger[^]*\n {2}its journal is in a ledger: name the same --ledger\n/,
  })
  t.match(await world.on('a', ['report', 'j'], unnamed), {
    code: 10,
    err: /job j cannot be used: its journal is in a ledger: name the same --ledger/,
  })
  world.lose('a')
  const sent = world.sent()
  const status = await world.on('b', ['status', 'j'])
  t.match(status, { code: 0, out: /^j {2}finished {2}10 records; rows: none/ })
  t.match(status.out, /^ {2}the results of 4 batches \(10 succeeded\) are on another machine/m)
  t.notMatch(status.out, /spent/, 'what they cost is not known here')
  const json = JSON.parse((await world.on('b', ['status', 'j', '--json'])).out)
  t.match(json, { elsewhere: { batches: 4, succeeded: 10, errored: 0 }, spent_usd: null })
  t.match(await world.on('c', ['list']), { code: 0, out: /^j +finished +\S+ \S+ +0\+ of 10 +- / })
  const results = await world.on('d', ['results', 'j', '--order', 'input'])
  t.equal(results.code, 0, results.err)
  t.equal(results.out, first.out)
  t.match(await world.on('d', ['status', 'j']), { out: /rows: 10 succeeded[^]*spent/ })
  t.match(await world.on('d', ['list']), { out: / 10 of 10 / })
  const completion = await world.on('e', ['results', 'j', '--order', 'completion'])
  t.same(answersOf(completion.out).sort(), answersOf(first.out).sort())
  const report = await world.on('f', ['report', 'j', '-o', world.path('report.html')])
  t.equal(report.code, 0, report.err)
  t.match(readFileSync(world.path('report.html'), 'utf8'), /succeeded/)
  const again = await world.on('g', ask(world, '--order', 'input'))
  t.equal(again.code, 0, again.err)
  t.equal(again.out, first.out, 'the same command prints its rows again')
  t.match(await world.on('h', ['retry', 'j']), { code: 0, err: /there is nothing to retry/ })
  t.match(await world.on('i', ['cancel', 'j', '-y']), {
    code: 0,
    err: /there is nothing to cancel/,
  })
  t.equal(world.sent(), sent, 'nothing is sent')
})

void t.test('the only shard of a job is merged like several', async t => {
  const world = await machines(t)
  t.match(await world.on('a', ask(world, '--shard', '0/1')), { code: 0 })
  const merged = await world.on('b', ['merge', 'j'])
  t.match(merged, { code: 0, rows: { length: 10 } }, merged.err)
})

void t.test('shards of lost machines are shown and merged elsewhere', async t => {
  const world = await machines(t)
  const part = (index: number): string[] =>
    ask(
      world,
      '--shard',
      `${index}/2`,
      '--shard-block',
      '2',
      '-o',
      world.path('part-{shard}.jsonl'),
    )
  t.match(await world.on('a', part(0)), { code: 0 })
  const refused = await world.on('c', ['merge', 'j'])
  t.match(refused, { code: 6, out: '', err: /j\.00001/ })
  t.match(await world.on('b', part(1)), { code: 0 })
  world.lose('a')
  world.lose('b')
  for (const name of ['part-00000.jsonl', 'part-00001.jsonl']) rmSync(world.path(name))
  const sent = world.sent()
  const merged = await world.on('d', ['merge', 'j'])
  t.equal(merged.code, 0, merged.err)
  t.same(
    merged.rows.map(({ id }) => Number(id)),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  t.ok(merged.rows.every(({ response }) => typeof response === 'string'))
  const table = await world.on('e', ['merge', 'j', '--to', 'csv', '-o', world.path('all.csv')])
  t.equal(table.code, 0, table.err)
  t.equal(readFileSync(world.path('all.csv'), 'utf8').split('\n').length, 12)
  const status = await world.on('f', ['status', 'j'])
  t.match(status.out, /^j\.00000 .*\n[^]*^j\.00001 /m)
  t.match(await world.on('f', ['list']), { out: /shard 0\/2[^]*shard 1\/2/ })
  const own = await world.on('g', ['results', 'j.00001'])
  t.same(
    own.rows.map(({ id }) => Number(id)),
    [2, 3, 6, 7],
  )
  // The part is written again by the command that wrote it.
  t.match(await world.on('h', part(1)), { code: 0 })
  t.same(
    rowsOf(readFileSync(world.path('part-00001.jsonl'), 'utf8')).map(({ id }) => Number(id)),
    [2, 3, 6, 7],
  )
  t.equal(world.sent(), sent, 'nothing is sent')
})

void t.test(
  'failed rows are retried on a second machine, and results are read on a third',
  async t => {
    const error = { type: 'api_error', message: 'no' }
    const world = await machines(t, {
      faults: [{ on: 'create', nth: 1, errored: [{ index: [1], error }] }],
    })
    const first = await world.on('a', ask(world, '--order', 'input', '--retries', '0'))
    t.equal(first.code, 3, first.err)
    t.same(nextWords(first).slice(0, 2), ['retry', 'j'])
    world.lose('a')
    const retried = await world.on('b', ['retry', 'j'])
    t.equal(retried.code, 0, retried.err)
    t.same(answersOf(retried.out).length, 1)
    world.lose('b')
    const results = await world.on('c', ['results', 'j', '--order', 'input'])
    t.equal(results.code, 0, results.err)
    t.same(
      results.rows.map(({ id, _batch }) => `${id} ${_batch?.status}`),
      Array.from({ length: 10 }, (_, id) => `${id} succeeded`),
    )
    t.match(await world.emulator.ledger.totals(), { billed: 10 })
  },
)

void t.test(
  'batches are canceled from a second machine, and their answers are collected on a third',
  async t => {
    const world = await machines(t, { batchTimeMs: HOUR })
    t.match(await world.on('a', ask(world, '--detach')), { code: 0 })
    world.lose('a')
    t.match(await world.on('b', ['status', 'j']), { out: /^j {2}unfinished[^]*4 {2}submitted/m })
    const canceled = await world.on('b', ['cancel', 'j', '-y'])
    t.equal(canceled.code, 0, canceled.err)
    t.same(nextWords(canceled).slice(0, 2), ['resume', 'j'])
    world.lose('b')
    const resumed = await world.on('c', ['resume', 'j', '--order', 'input'])
    t.equal(resumed.code, 3, resumed.err)
    t.equal(resumed.rows.length, 10)
    t.match(await world.emulator.ledger.totals(), { accepted: 10, acceptedTwice: 0 })
  },
)

void t.test('each step of --max-wait may run on another machine', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const world = await machines(t, { batchTimeMs: HOUR, clock })
  const step = ['--max-wait', '0s', '-c', '2']
  t.match(await world.on('a', ask(world, ...step)), { code: 11 })
  for (const [machine, code, batches] of [
    ['b', 11, 4],
    ['c', 0, 4],
  ] as const) {
    world.lose('a')
    turned += 2 * HOUR
    const ran = await world.on(machine, ['resume', 'j', ...step])
    t.equal(ran.code, code, ran.err)
    t.equal(world.sent(), batches)
    if (code === 0) t.equal(ran.rows.length, 10)
  }
  t.match(await world.emulator.ledger.totals(), { billed: 10, acceptedTwice: 0 })
})

void t.test('an abandoned shard is merged with the reasons for its missing answers', async t => {
  const world = await machines(t, { batchTimeMs: HOUR })
  const part = (index: number): string[] =>
    ask(world, '--shard', `${index}/2`, '--shard-block', '2', '-o', world.path('{shard}.jsonl'))
  const steps = ['--max-wait', '0s', '-c', '1']
  t.match(await world.on('a', [...part(0), ...steps]), { code: 11 })
  const early = await world.on('c', ['merge', 'j'])
  t.match(early, { code: 6, err: /not started: j\.00001/ })
  t.match(await world.on('b', [...part(1), ...steps]), { code: 11 })
  const waiting = await world.on('c', ['merge', 'j'])
  t.match(waiting, {
    code: 11,
    out: '',
    err: /not finished: j\.00000, j\.00001 \(batches in flight\)/,
  })
  world.lose('a')
  world.lose('b')
  t.match(await world.on('c', ['resume', 'j.00000', '--abandon', '--detach']), { code: 2 })
  const sent = world.sent()
  for (const shard of ['j.00000', 'j.00001']) {
    t.match(await world.on('d', ['cancel', shard, '-y']), { code: 0 })
    const abandoned = await world.on('e', ['resume', shard, '--abandon'])
    t.equal(abandoned.code, 3, abandoned.err)
  }
  t.equal(world.sent(), sent, 'nothing is sent')
  const merged = await world.on('f', ['merge', 'j'])
  t.equal(merged.code, 3, merged.err)
  t.same(
    merged.rows.map(({ id }) => Number(id)),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  // Three records of each shard were sent, and the others were not.
  const errors = merged.rows.map(({ _batch }) => _batch?.error?.type)
  t.equal(errors.filter(type => type === 'abandoned').length, 4)
  t.ok(
    merged.rows.every(
      ({ _batch }) =>
        _batch?.status !== 'rejected' || /was abandoned/.test(_batch.error?.message ?? ''),
    ),
  )
  const { rows: held } = await world.database.pool.query(
    'select number from claude_batch_stream.batch where pool is not null or reserved > 0',
  )
  t.same(held, [], 'nothing stays reserved')
  t.match(await world.emulator.ledger.totals(), { acceptedTwice: 0 })
})

void t.test('records of a pipe must be given again, and a changed input is refused', async t => {
  const world = await machines(t)
  const piped = ['-p', 'Say {{text}}', '--job', 'p', '--order', 'input']
  const first = await world.on('a', piped, { stdin: csv(4) })
  t.equal(first.code, 0, first.err)
  const sent = world.sent()
  for (const command of ['results', 'retry', 'report'])
    t.match(await world.on(`b-${command}`, [command, 'p']), {
      code: 6,
      err: /came through a pipe[^]*run the same command with the same input again/,
    })
  t.equal((await world.on('c', piped, { stdin: csv(4) })).out, first.out)
  t.match(await world.on('d', piped, { stdin: csv(3) }), { code: 6, out: '' })
  t.match(await world.on('a', ask(world)), { code: 0 })
  writeFileSync(world.path('in.csv'), csv(10).replace('text 4', 'text X'))
  t.match(await world.on('e', ['results', 'j']), { code: 6, out: '', err: /record 10|differs/ })
  writeFileSync(world.path('in.csv'), csv(9))
  t.match(await world.on('f', ['results', 'j']), { code: 6, out: '', err: /shorter/ })
  rmSync(world.path('in.csv'))
  t.match(await world.on('g', ['results', 'j']), { code: 6, out: '', err: /in\.csv/ })
  t.equal(world.sent(), sent + 4)
})

void t.test('an unusable database is reported before anything is sent', async t => {
  const world = await machines(t)
  const refused = async (
    code: number,
    err: RegExp,
    more: string[],
    ledger?: string,
  ): Promise<void> => {
    const env = { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: ledger ?? world.database.url }
    const connectLedger = ledger === undefined ? world.database.connectLedger : undefined
    const ran = await world.on('a', ask(world, ...more), { env, connectLedger })
    t.match(ran, { code, out: '', err })
    t.equal(world.sent(), 0)
  }
  const away = `postgres://tester:${PASSWORD}@127.0.0.1:1/postgres`
  await refused(8, /ledger cannot be reached[^]*nothing was sent/, [], away)
  await refused(2, /must be the URL of a database/, [], 'mysql://x')
  await refused(2, /must be the URL of a database/, [], `postgres://tester:${PASSWORD}@[/x`)
  if (!NO_POSTGRES) {
    const wrong = world.database.url.replace(PASSWORD, 'wrong')
    await refused(5, /refuses the connection[^]*nothing was sent/, [], wrong)
    const nobody = world.database.url.replace('tester', 'nobody')
    await refused(5, /refuses the connection/, [], nobody)
    await refused(5, /refuses the connection/, [], world.database.url.replace(/[^/]*$/, 'none'))
  }
  const emptyShard = ['--shard', '0/4', '--shard-block', '2', '-o', world.path('{shard}.jsonl')]
  t.match(await world.on('z', ask(world, ...emptyShard)), { code: 0 })
  const sent = world.sent()
  for (const shard of [
    ['--shard', '0/5', '--shard-block', '2'],
    ['--shard', '1/5', '--shard-block', '2'],
    ['--shard', '0/4', '--shard-block', '3'],
    ['--shard', '1/4', '--shard-block', '3'],
  ]) {
    const ran = await world.on('b', ask(world, ...shard, '-o', world.path('{shard}.csv')))
    t.match(ran, { code: 6, out: '', err: /shards|blocks/ }, shard.join(' '))
    t.notOk(existsSync(world.path('00001.csv')))
  }
  await world.database.pool.query('update claude_batch_stream.version set version = 99')
  t.match(await world.on('c', ask(world)), { code: 10, out: '', err: /have version 99/ })
  t.equal(world.sent(), sent)
})

void t.test(
  'a second worker for the same shard waits for one lease, then exits with 7',
  async t => {
    const world = await machines(t, { batchTimeMs: HOUR })
    const words = ask(world, '--lease', '2s')
    const first = new AbortController()
    const env = { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: world.database.url }
    const { connectLedger } = world.database
    const io = new World({ env, connectLedger })
    const flags = ['--state-dir', world.path('a'), '--base-url', world.emulator.url, ...QUICK]
    const running = runIn(io, ['run', ...words, ...flags]).finally(() => first.abort())
    await until(() => world.sent() === 4)
    const began = performance.now()
    const second = await world.on('b', words)
    t.match(second, {
      code: 7,
      out: '',
      err: /according to the ledger, another worker has job j; nothing was sent/,
    })
    t.ok(performance.now() - began >= 1900, 'it has waited for the lease')
    t.equal(world.sent(), 4)
    io.emit('SIGTERM', 'SIGTERM')
    t.equal((await running).code, 143)
    // A routine stop frees the shard at once.
    t.match(await world.on('b', [...words, '--max-wait', '0s']), { code: 11 })
    t.equal(world.sent(), 4)
  },
)

/** Runs a command on a machine until a condition holds, then stops it with SIGTERM. */
async function stopWhen(
  world: Machines,
  words: readonly string[],
  condition: () => boolean,
): Promise<void> {
  const env = { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: world.database.url }
  const io = new World({ env, connectLedger: world.database.connectLedger })
  const flags = ['--state-dir', world.path('a'), '--base-url', world.emulator.url]
  const running = runIn(io, ['run', ...words, ...flags, '--poll', '10ms'])
  await until(condition)
  io.emit('SIGTERM', 'SIGTERM')
  t.equal((await running).code, 143)
}

const allOnce = async ({ emulator }: Machines, count: number): Promise<void> =>
  void t.match(await emulator.ledger.totals(), { accepted: count, acceptedTwice: 0 })

void t.test(
  'a batch whose create and body are both lost is batched again from its records',
  async t => {
    const lost = { on: 'create', nth: 1, reset: true } as const
    const world = await machines(t, { faults: [lost] })
    await stopWhen(world, ask(world, '--settle', '1h'), () => world.sent() > 1)
    world.lose('a')
    const second = await world.on('b', ask(world))
    t.match(second, {
      code: 8,
      err: /batch 1 did not reach the API, and its body was lost[^]*run the same command again/,
    })
    const third = await world.on('b', ask(world))
    t.equal(third.code, 0, third.err)
    t.equal(third.rows.length, 10)
    await allOnce(world, 10)
  },
)

for (const isKnown of [true, false])
  void t.test(
    `a batch whose id arrived too late to be journaled is adopted ${isKnown ? 'by its id' : 'from the list, since the API does not know that id'}`,
    async t => {
      let turned = 0
      const world = await machines(t, {
        clock: { now: () => Date.now() + turned },
        batchTimeMs: ({ number }) => (number === 1 ? HOUR : 20),
        faults: [{ on: 'create', nth: 1, when: 'after', reset: true }],
      })
      await stopWhen(world, ask(world, '--settle', '1h'), () => world.sent() > 1)
      const [first] = world.emulator.ledger.batches()
      await world.database.pool.query(
        'update claude_batch_stream.batch set late_id = $1 where number = 1',
        [isKnown ? first?.id : 'msgbatch_unknown'],
      )
      turned += 2 * HOUR
      const second = await world.on('b', ['resume', 'j'])
      t.equal(second.code, 0, second.err)
      t.equal(second.rows.length, 10)
      const { rows } = await world.database.pool.query(
        'select id from claude_batch_stream.batch where number = 1',
      )
      t.same(rows, [{ id: first?.id }])
      await allOnce(world, 10)
    },
  )

void t.test('a cap includes what another machine has spent', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const world = await machines(t, { batchTimeMs: HOUR, clock })
  const step = ['--max-wait', '0s', '-c', '1']
  t.match(await world.on('a', ask(world, ...step, '--max-cost', '1')), { code: 11 })
  for (const [machine, code] of [
    ['b', 11],
    ['c', 11],
    ['d', 11],
    ['e', 0],
  ] as const) {
    turned += 2 * HOUR
    const ran = await world.on(machine, ['resume', 'j', ...step])
    t.equal(ran.code, code, ran.err)
  }
  await allOnce(world, 10)
  t.match(await world.on('f', ['status', 'j']), { out: /on another machine/ })
})

void t.test('shards stop at their cap if answers do not say what they cost', async t => {
  const change = (path: string, body: string): string =>
    path.endsWith('/results') ? body.replaceAll('"output_tokens":', '"output":') : body
  const world = await machines(t, {}, { change })
  const part = (index: number): string[] => [
    ...['--shard', `${index}/2`, '--shard-block', '1', '--max-cost', '0.0001', '-t', '100'],
    ...['-o', world.path('{shard}.jsonl')],
  ]
  const ran = []
  for (const index of [0, 1])
    ran.push(await world.on(`m${index}`, ask(world, ...part(index), '--batch-size', '1')))
  for (const { code, err } of ran) t.equal(code, 4, err)
  t.match(ran[1]?.err, /--max-cost \$0\.000100 is reached: \$0\.0000\d+ is spent or in flight/)
  const sent = world.sent()
  t.ok(sent > 0 && sent < 5, `${sent} requests`)
  // A worker that starts again adds nothing.
  t.equal((await world.on('m2', ['resume', 'j.00001'])).code, 4)
  t.equal(world.sent(), sent)
})

void t.test('a cap is not held against shards that were run without one', async t => {
  const world = await machines(t)
  const part = (index: number, ...more: string[]): string[] =>
    ask(world, '--shard', `${index}/2`, '--shard-block', '1', '-o', world.path('{shard}'), ...more)
  t.equal((await world.on('m0', part(0))).code, 0)
  const stopped = await world.on('m1', part(1, '--max-cost', '1'))
  t.match(stopped, {
    code: 4,
    err: /shard 0 has sent batches without --max-cost, .* run that shard with --max-cost first/,
  })
  t.equal((await world.on('m0', part(0, '--max-cost', '1'))).code, 0, 'its bill is known now')
  t.equal((await world.on('m1', part(1, '--max-cost', '1'))).code, 0)
  await allOnce(world, 10)
})

void t.test('a worker whose job was taken over exits', async t => {
  const world = await machines(t, { batchTimeMs: HOUR })
  const env = { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: world.database.url }
  const io = new World({ env, connectLedger: world.database.connectLedger })
  const flags = ['--state-dir', world.path('a'), '--base-url', world.emulator.url, ...QUICK]
  const running = runIn(io, ['run', ...ask(world, '--lease', '1s'), ...flags])
  await until(() => world.sent() === 4)
  await world.database.pool.query('update claude_batch_stream.shard set epoch = epoch + 1')
  t.match(await running, { code: 7, err: /another worker has taken over job j/ })
})

void t.test('status --watch follows a job of another machine to its end', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const world = await machines(t, { batchTimeMs: HOUR, clock })
  t.match(await world.on('a', ask(world, '--max-wait', '0s')), { code: 11 })
  const stdout = new Collected()
  const watched = world.on('b', ['status', 'j', '--watch', '--json'], {
    stdout,
    clock: FAST_CLOCK,
    env: { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: world.database.url },
    connectLedger: world.database.connectLedger,
  })
  await until(() => stdout.text.includes('\n'))
  turned += 2 * HOUR
  t.match(await world.on('a', ['resume', 'j']), { code: 0 })
  t.match(rowsOf((await watched).out).at(-1), { state: 'finished' })
  t.match(await world.on('b', ['resume', 'j']), { code: 0 })
})

void t.test(
  'a job in the state folder is not hidden by one of the same name in the ledger',
  async t => {
    const world = await machines(t)
    const alone = { env: { ANTHROPIC_API_KEY: KEY } }
    t.match(await world.on('a', ask(world, '--note', 'here'), alone), { code: 0 })
    t.match(await world.on('b', ask(world, '--note', 'there')), { code: 0 })
    t.match((await world.on('a', ['list'])).out, /^j +finished .* here\n$/)
    t.match(await world.on('a', ask(world)), {
      code: 6,
      err: /has its journal on this disk and not in the ledger/,
    })
    t.match(await world.on('b', ask(world, '--fresh')), {
      code: 2,
      err: /--fresh cannot be combined with a job that is in a ledger/,
    })
  },
)

void t.test('a wait for results is reported', async t => {
  const world = await machines(t, { faults: [{ on: 'results', nth: 5, status: 503 }] })
  t.match(await world.on('a', ask(world)), { code: 0 })
  const ran = await world.on('b', ['results', 'j'], {
    clock: FAST_CLOCK,
    env: { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: world.database.url },
    connectLedger: world.database.connectLedger,
  })
  t.match(ran, { code: 0, err: /503/ })
  t.equal(ran.rows.length, 10)
})

void t.test('resuming a job of another machine that read a pipe needs the pipe again', async t => {
  const world = await machines(t)
  const piped = ['-p', 'Say {{text}}', '--job', 'p']
  t.match(await world.on('a', piped, { stdin: csv(4) }), { code: 0 })
  t.match(await world.on('b', ['resume', 'p']), {
    code: 6,
    err: /ended before its input was read completely|run the same command with the same input/,
  })
})

void t.test('a program may provide its own database connections', async t => {
  const pool = pglitePool()
  t.teardown(() => pool.end())
  const emulator = await createEmulator({ port: 0, batchTimeMs: 10 })
  t.teardown(() => emulator.close())
  const urls: string[] = []
  const connectLedger: WorldOptions['connectLedger'] = url => {
    urls.push(url)
    return { ...pool, end: async () => {} }
  }
  const env = { ANTHROPIC_API_KEY: KEY, CLAUDE_BATCH_STREAM_LEDGER: 'postgres://x@y/z' }
  const dir = t.testdir({})
  const where = ['--state-dir', join(dir, 'a')]
  const words = ['-p', 'Say {{text}}', '--job', 'j', ...where, '--base-url', emulator.url, ...QUICK]
  const ran = await run(words, { env, connectLedger, stdin: csv(2) })
  t.match(ran, { code: 0 }, ran.err)
  t.same(urls, ['postgres://x@y/z'])
  const ledger = postgresLedger({ pool })
  const job = await openStoredJob({ dir: join(dir, 'b'), name: 'lost', ledger })
  const part = { number: 1, attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
  await job.note({ type: 'sealed', ...part }, true)
  await job.note({ type: 'armed', number: 1, at: 1, serverAt: null }, true)
  await job.note({ type: 'ended', number: 1, counts: null, resultsUrl: null, at: 2 }, true)
  await job.note({ type: 'fetched', number: 1, lines: 1, bytes: 1, why: null }, true)
  await job.close()
  const shown = await run(['status', 'lost', ...where, '--base-url', emulator.url], {
    ...{ env, connectLedger },
  })
  t.match(shown.out, /the results of 1 batch \(no requests\) are on another machine/, shown.err)
})

void t.test('without its package --ledger says what to install', async t => {
  const missing = async (): Promise<never> => {
    throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
  }
  await t.rejects(loadDriver(missing), { code: 'CBS_OPTION', message: /npm install pg / })
})

void t.test('a job that another command has started in the meantime is not continued', async t => {
  const world = await machines(t)
  const { pool } = world.database
  // Creates the tables.
  t.equal((await world.on('a', ask(world, '--job', 'other'))).code, 0)
  let other: Ran | undefined
  const late: LedgerPool & { end(): Promise<void> } = {
    query: (text, values) => pool.query(text, values),
    connect: async () => {
      // By now this command has found that there is no such job.
      other ??= await world.on('b', ask(world))
      return await pool.connect()
    },
    end: async () => {},
  }
  const ran = await world.on(
    'c',
    ['-i', world.path('in.csv'), '-p', 'Tell {{text}}', '--job', 'j'],
    {
      connectLedger: () => late,
    },
  )
  t.equal(other?.code, 0)
  t.match(ran, { code: 7, out: '', err: /another process has started job j in the meantime/ })
  t.match(await world.on('c', ['-i', world.path('in.csv'), '-p', 'Tell {{text}}', '--job', 'j']), {
    code: 6,
    err: /job j is finished and belongs to another command or input/,
  })
})

void t.test('a job in the ledger whose name is a path changes nothing elsewhere', async t => {
  const world = await machines(t)
  t.equal((await world.on('a', ask(world))).code, 0)
  const columns = 'shards, block, created_at'
  const { pool } = world.database
  await pool.query(
    `insert into claude_batch_stream.job (name, ${columns})
     select '../../victim', ${columns} from claude_batch_stream.job`,
  )
  await pool.query(
    `insert into claude_batch_stream.shard (job, i, card) select '../../victim', i, card from claude_batch_stream.shard`,
  )
  t.match(await world.on('b', ['list']), {
    code: 10,
    err: /the ledger has a job whose name is none/,
  })
  t.notOk(existsSync(world.path('victim')))
})

void t.test('a retry whose machine is lost prints its rows on another one', async t => {
  const error = { type: 'api_error', message: 'no' }
  const world = await machines(t, {
    faults: [{ on: 'create', nth: 1, errored: [{ index: [1], error }] }],
  })
  t.equal((await world.on('a', ask(world, '--order', 'input', '--retries', '0'))).code, 3)
  const closed = new Collected()
  closed.destroy()
  t.not((await world.on('b', ['retry', 'j'], { stdout: closed })).code, 0)
  t.match(await world.emulator.ledger.totals(), { billed: 10 }, 'the answer was paid for')
  world.lose('a')
  world.lose('b')
  const rest = await world.on('c', ['retry', 'j'])
  t.equal(rest.code, 0, rest.err)
  t.same(answersOf(rest.out).length, 1)
  t.match(await world.emulator.ledger.totals(), { billed: 10 })
  t.match(await world.on('d', ['retry', 'j']), { code: 0, out: '', err: /nothing to retry/ })
})

void t.test('results that a machine has stay there, whatever another one did since', async t => {
  let isLost = false
  const world = await machines(t, {
    faults: ({ op }) => (op === 'results' && isLost ? { status: 404 } : undefined),
  })
  const first = await world.on('a', ask(world, '--order', 'input'))
  t.equal((await world.on('b', ['results', 'j', '--order', 'input'])).out, first.out)
  isLost = true
  t.equal((await world.on('a', ['results', 'j', '--order', 'input'])).out, first.out)
  const cut = world.path('b/jobs/j/batches/1.results')
  writeFileSync(cut, readFileSync(cut).subarray(1))
  isLost = false
  t.equal((await world.on('b', ['results', 'j', '--order', 'input'])).out, first.out)
})

void t.test(
  'a job that the database does not have is not made anew, and its folder stays',
  async t => {
    const world = await machines(t)
    const first = await world.on('a', ask(world, '--order', 'input'))
    // Its folder has a copy of the journal.
    t.equal((await world.on('a', ['results', 'j', '--order', 'input'])).out, first.out)
    await world.database.pool.query('delete from claude_batch_stream.job')
    for (const words of [
      ['results', 'j', '--order', 'input'],
      ['resume', 'j'],
      ['retry', 'j'],
    ])
      t.match(await world.on('a', words), {
        code: 10,
        out: '',
        err: /is not in the ledger: is it the right/,
      })
    t.ok(existsSync(world.path('a/jobs/j/batches/1.results')))
    t.equal(first.code, 0)
  },
)
