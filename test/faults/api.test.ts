import t, { type Test } from 'tap'
import type { EmulatorOptions, FaultRule } from '../../lib/emulator/index.ts'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { csv, everythingIn, KEY, placeFor, rowsOf, type Place, type Ran } from '../cli/world.ts'

const ASK = ['--job', 'a', '-p', 'Say {{text}}', '--batch-size', '3']

/** What must hold after any run: nothing is billed twice, each record has its row, the key is nowhere. */
async function sound(t: Test, place: Place, ran: Ran, records: number): Promise<void> {
  const { acceptedTwice, billedTwice } = await place.emulator.ledger.totals()
  t.same(
    { acceptedTwice, billedTwice },
    { acceptedTwice: 0, billedTwice: 0 },
    'nothing is paid for twice',
  )
  t.equal(ran.rows.length, records, 'one row per record')
  t.equal(new Set(ran.rows.map(row => row['id'])).size, records)
  t.notMatch(ran.err + ran.out + everythingIn(place.state), KEY)
}

interface Trial {
  readonly records?: number
  readonly code?: number
  readonly says?: RegExp
  readonly options?: EmulatorOptions
}

/** Runs against a fault and expects success. */
function survives(name: string, faults: readonly FaultRule[], trial: Trial = {}): void {
  t.test(name, async t => {
    const { records = 5, code = 0, says, options } = trial
    const place = await placeFor(t, { faults, ...options })
    const ran = await place.run([...ASK, '-v'], { stdin: csv(records) })
    t.equal(ran.code, code, ran.err)
    if (says) t.match(ran.err, says)
    await sound(t, place, ran, records)
  })
}

const create = (fault: Omit<FaultRule, 'on'>): FaultRule[] => [{ on: 'create', nth: 1, ...fault }]
const results = (fault: Omit<FaultRule, 'on'>): FaultRule[] => [{ on: 'results', nth: 1, ...fault }]

survives(
  'N01 a create that is answered and not heard is found',
  create({ when: 'after', reset: true }),
)
survives(
  'N02 a create that breaks off early is sent again',
  create({ when: 'early', bytes: 50, reset: true }),
)
survives(
  'N03 a 500 behind which there is a batch is no second batch',
  create({ when: 'after', status: 500 }),
)
survives(
  'N04 a 500 behind which there is none is sent again after a while',
  create({ status: 500 }),
)
survives(
  'N40 a 529 behind which there is a batch is no second batch',
  create({ when: 'after', status: 529 }),
)
for (const value of ['0', '-1', '1e12', 'junk', new Date().toUTCString()]) {
  survives(
    `N09 a 429 that says to come back after "${value}"`,
    create({ status: 429, headers: { 'retry-after': value } }),
    { says: /429/ },
  )
}
survives('N15 a batch that is too large is divided', create({ when: 'early', status: 413 }), {
  records: 3,
})
survives(
  'N35 an answer before the last byte decides',
  create({ when: 'early', bytes: -1, status: 429 }),
)
survives('N17 a download that breaks off is made again', results({ lines: { cutInside: 2 } }))
survives('N17 a download that is reset is made again', results({ resetAfterBytes: 700 }))
survives('N19 a gzipped download that is cut is made again', results({ lines: { gzipCut: 10 } }))
survives('N20 a download that is short is made again', results({ lines: { cutAfter: 2 } }))
survives('N20 a download shorter than it says is made again', results({ lines: { shortBy: 40 } }))
survives(
  'a batch that the API does not know yet is waited for',
  create({ notFoundMs: 60, listedAfterMs: 60 }),
)
survives('N29 a retrieve that fails is asked again', [
  { on: ['retrieve', 'list'], times: 2, status: 503 },
])
survives('N32 a page of a proxy is no list of batches', [
  { on: 'list', nth: 2, body: '<html>Sign in</html>' },
])
survives('N32 a page of a proxy is no batch', create({ body: '<html>Sign in</html>' }))
survives(
  'a count of tokens that a gateway does not offer is no reason to stop',
  [{ on: 'count_tokens', status: 404, error: { message: 'no such endpoint' } }],
  { says: /preflight skipped: the API answered 404/ },
)
survives('a count of tokens that is busy is asked again', [
  { on: 'count_tokens', nth: 1, status: 529 },
])

t.test(
  'N24 rows come in input order inside a batch, whatever order their answers have',
  async t => {
    const place = await placeFor(t, {
      faults: results({ lines: { reversed: true } }),
      order: 'input',
    })
    const ran = await place.run(ASK, { stdin: csv(3) })
    t.same(
      ran.rows.map(row => row['id']),
      ['0', '1', '2'],
    )
  },
)

t.test('N30 expired requests are retried up to --retries times', async t => {
  for (const [retries, accepted] of [
    ['0', 2],
    ['2', 6],
  ] as const) {
    const place = await placeFor(t, { faults: [{ on: 'create', expire: true }] })
    const ran = await place.run([...ASK, '--retries', retries], { stdin: csv(2) })
    t.equal(ran.code, 3)
    t.same(
      ran.rows.map(row => row._batch?.status),
      ['expired', 'expired'],
    )
    t.equal((await place.emulator.ledger.totals()).accepted, accepted)
  }
})

/** A run that ends with a code and a reason, and continues with the command that it printed, or runs again if nothing was sent. */
interface Stop {
  readonly faults: readonly FaultRule[]
  readonly code: number
  readonly says: RegExp
  readonly records?: number
  /** Nothing was sent, so no job is left behind. */
  readonly isUnsent?: boolean
  /** What happens before it continues. */
  readonly between?: (place: Place) => void
}

function stops(name: string, stop: Stop): void {
  t.test(name, async t => {
    const { faults, code, says, records = 3, isUnsent = false, between } = stop
    const place = await placeFor(t, { faults })
    const ran = await place.run(ASK, { stdin: csv(records) })
    t.equal(ran.code, code)
    t.match(ran.err, says)
    t.equal(ran.out, '', 'nothing is written that may be wrong')
    t.notMatch(ran.err, /at .*:\d+:\d+|this is a bug/)
    between?.(place)
    if (isUnsent) t.notMatch(ran.err, /to continue/)
    const stdin = csv(records)
    const again = await (isUnsent ? place.run(ASK, { stdin }) : place.again(ran))
    t.equal(again.code, 0, again.err)
    await sound(t, place, again, records)
  })
}

const LIMIT =
  'You have reached your specified API usage limits. You will regain access on 2026-12-01.'

stops('N10 a spend limit stops the run at once', {
  faults: create({
    status: 429,
    error: {
      type: 'rate_limit_error',
      message: 'spend limit',
      error_code: 'enforced_spend_limit_reached',
    },
  }),
  code: 5,
  isUnsent: true,
  says: /cannot submit batch 1: the API answered 429: spend limit/,
})
stops('N11 a limit of the own workspace is no bad record', {
  faults: create({ status: 400, error: { type: 'invalid_request_error', message: LIMIT } }),
  code: 5,
  isUnsent: true,
  says: /reached your specified API usage limits/,
})
stops('N13 a key that is revoked stops the run', {
  faults: create({ status: 401 }),
  code: 5,
  isUnsent: true,
  says: /cannot submit batch 1: the API answered 401/,
})
stops('N26 a redirect of a download is not followed', {
  faults: results({ redirect: 'https://example.com/' }),
  code: 8,
  says: /redirects are not followed: check the base URL/,
})
stops('N39 a redirect of a poll is not followed', {
  faults: [{ on: ['list', 'retrieve'], nth: 1, redirect: 'https://example.com/', status: 307 }],
  code: 8,
  says: /redirects are not followed/,
})
stops('N22 an answer to a request that is not ours stops the run, and is kept', {
  faults: [{ on: 'results', times: 5, lines: { unknownId: 2 } }],
  code: 8,
  says: /result/,
})

t.test('N39 a redirect of a create sends neither key nor body elsewhere', async t => {
  const seen: string[] = []
  const elsewhere = createServer((request, response) => {
    seen.push(`${request.method} ${JSON.stringify(request.headers)}`)
    response.end('{}')
  })
  await new Promise<void>(resolve => elsewhere.listen(0, '127.0.0.1', resolve))
  t.teardown(() => elsewhere.close())
  // It listens on a port.
  const { port } = elsewhere.address() as AddressInfo
  for (const status of [302, 307]) {
    const place = await placeFor(t, {
      faults: create({ redirect: `http://127.0.0.1:${port}/`, status }),
    })
    const ran = await place.run(ASK, { stdin: csv(2) })
    t.equal(ran.code, 8)
    t.equal((await place.run(ASK, { stdin: csv(2) })).code, 0)
  }
  t.same(seen, [])
})

t.test('N25 results are read only from the base URL, whatever results_url says', async t => {
  const seen: unknown[] = []
  const elsewhere = createServer((request, response) => {
    seen.push(request.headers)
    response.end()
  })
  await new Promise<void>(resolve => elsewhere.listen(0, '127.0.0.1', resolve))
  t.teardown(() => elsewhere.close())
  // It listens on a port.
  const { port } = elsewhere.address() as AddressInfo
  for (const url of [
    `http://127.0.0.1:${port}`,
    `https://example.com`,
    `http://localhost:${port}`,
  ]) {
    const place = await placeFor(t, { faults: [{ on: 'create', resultsUrl: url }] })
    const ran = await place.run(ASK, { stdin: csv(2) })
    t.same([ran.code, ran.rows.length], [0, 2], url)
  }
  t.same(seen, [])
})

t.test('N14 a key of another workspace is refused before anything is sent', async t => {
  const place = await placeFor(t, {
    keys: { [KEY]: 'wrkspc_mine', 'sk-other': 'wrkspc_other' },
    batchTimeMs: 200,
  })
  await place.run([...ASK, '--detach'], { stdin: csv(2) })
  const posts = () =>
    place.emulator.ledger.lastCalls().filter(({ op }) => op === 'create' || op === 'count_tokens')
      .length
  const before = posts()
  const other = await place.run(['resume', 'a'], { env: { ANTHROPIC_API_KEY: 'sk-other' } })
  t.equal(other.code, 5)
  t.match(other.err, 'job a belongs to workspace wrkspc_mine, but this key belongs to wrkspc_other')
  t.equal(posts(), before)
  t.match(await place.run(['cancel', 'a', '-y'], { env: { ANTHROPIC_API_KEY: 'sk-other' } }), {
    code: 5,
    err: /wrkspc_mine/,
  })
  t.equal((await place.again(other)).rows.length, 2)
})

t.test('N13 a job whose key was revoked resumes with a new key', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 100,
    keys: { [KEY]: 'wrkspc_1', 'sk-new': 'wrkspc_1' },
  })
  const detached = await place.run([...ASK, '--detach'], { stdin: csv(4) })
  place.emulator.revokeKey(KEY)
  const refused = await place.again(detached)
  t.equal(refused.code, 5)
  const ran = await place.again(refused, { env: { ANTHROPIC_API_KEY: 'sk-new' } })
  t.equal(ran.code, 0)
  await sound(t, place, ran, 4)
})

t.test(
  'N16 a request that the API names in a 400 becomes a row, and the others are sent',
  async t => {
    const place = await placeFor(t, { faults: [{ on: 'create', rejectRequest: 'Say text 1' }] })
    const ran = await place.run(ASK, { stdin: csv(3) })
    t.equal(ran.code, 3)
    t.match(
      ran.rows.find(row => row['id'] === '1'),
      {
        response: null,
        _batch: { status: 'rejected', line: 3, error: { message: /requests\.1/ } },
      },
    )
    t.same(ran.rows.filter(row => row._batch?.status === 'succeeded').length, 2)
    await sound(t, place, ran, 3)
  },
)

t.test('N27 results that the API deleted become unanswered rows with the date', async t => {
  const place = await placeFor(t, { faults: [{ on: 'create', nth: 1, archived: true }] })
  const ran = await place.run(ASK, { stdin: csv(2) })
  t.equal(ran.code, 3)
  t.match(ran.rows, [
    { _batch: { status: 'unanswered', error: { message: /\d{4}-\d\d-\d\d/ } } },
    { _batch: { status: 'unanswered' } },
  ])
  const again = await place.again(ran)
  t.same([again.code, again.rows.length], [0, 2], 'only who asks for it pays again')
})

t.test('N29 canceled requests are sent again only by retry', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000, cancelTimeMs: 10 })
  const detached = await place.run([...ASK, '--detach'], { stdin: csv(2) })
  const [batch] = place.emulator.ledger.batches()
  await place.run(['cancel', batch?.id ?? '', '-y'])
  const ran = await place.again(detached)
  t.equal(ran.code, 3)
  t.ok(ran.rows.some(row => row._batch?.status === 'canceled'))
  t.match(ran.said.at(-1), 'claude-batch-stream retry a')
  t.equal(place.emulator.ledger.batches().length, 1)
})

t.test('N23 a result of an unknown type becomes a row that names the type', async t => {
  const place = await placeFor(t, { faults: results({ lines: { unknownType: 1 } }) })
  const ran = await place.run(ASK, { stdin: csv(2) })
  t.equal(ran.code, 3)
  t.match(
    ran.rows.find(row => row._batch?.status === 'errored'),
    {
      _batch: { error: { type: 'unknown_result_type', message: /postponed/ } },
    },
  )
  const raw = await place.run(['results', 'a', '--to', 'raw'])
  t.ok(
    rowsOf(raw.out).some(line => JSON.stringify(line).includes('"postponed"')),
    'its line is kept',
  )
})

t.test('an invalid key, model or parameter costs nothing', async t => {
  const keys = { [KEY]: 'wrkspc_1' }
  const wrong = [
    {
      words: ['-p', 'hi'],
      env: { ANTHROPIC_API_KEY: 'sk-ant-typo' },
      code: 5,
      says: /cannot reach the API: the API answered 401/,
    },
    {
      words: ['-p', 'hi', '-m', 'claude-haiku-9'],
      env: { ANTHROPIC_API_KEY: KEY },
      code: 2,
      says: /the model claude-haiku-9 is unknown/,
    },
    {
      words: ['-p', 'hi', '-m', 'haiku'],
      env: { ANTHROPIC_API_KEY: KEY },
      code: 2,
      says: /the model haiku is unknown \(did you mean claude-haiku-5-5, claude-haiku-4-5\?\)/,
    },
    {
      words: ['-p', 'hi', '--param', 'tools=[{"name":1}]'],
      env: { ANTHROPIC_API_KEY: KEY },
      code: 2,
      says: /the first request would be rejected/,
    },
  ]
  for (const { words, env, code, says } of wrong) {
    const place = await placeFor(t, { keys })
    const ran = await place.run(words, { stdin: csv(2), env })
    t.equal(ran.code, code, words.join(' '))
    t.match(ran.err, says)
    t.equal(place.emulator.ledger.batches().length, 0)
    t.notMatch(ran.err, 'sk-ant-typo')
  }
})

t.test(
  'O05 truncated and refused answers are distinguished and counted, and the exit code is 3',
  async t => {
    const place = await placeFor(t, {
      respond: params =>
        JSON.stringify(params).includes('text 1')
          ? { stop_reason: 'refusal', content: [] }
          : undefined,
    })
    const ran = await place.run([...ASK, '-t', '3'], { stdin: csv(3) })
    t.equal(ran.code, 3)
    t.match(ran.err, '3 rows: 2 incomplete, 1 refused')
    t.match(ran.rows, [
      { response: String, _batch: { status: 'incomplete', stop_reason: 'max_tokens' } },
      { response: null, _batch: { status: 'refused', stop_reason: 'refusal' } },
      { _batch: { status: 'incomplete' } },
    ])
  },
)
