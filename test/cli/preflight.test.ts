import t from 'tap'
import { csv, FAST_CLOCK, KEY, placeFor, until } from './world.ts'

const ASK = ['--job', 'a', '-p', 'Say {{text}}']

void t.test(
  'a create whose reply is lost is not repeated with the key of another workspace (N14)',
  async t => {
    const place = await placeFor(t, {
      keys: { [KEY]: 'wrkspc_a', 'sk-ant-other-key': 'wrkspc_b' },
      faults: [
        { on: 'create', nth: 1, when: 'after', reset: true },
        // Nothing of the API's but the token counter has answered when the run dies.
        { on: 'list', nth: [1, 2, 3, 4], reset: true },
      ],
    })
    const { world, ended } = place.start(ASK, { stdin: csv(3) })
    await until(() => world.stderr.text.includes('batch 1 waits'))
    world.emit('SIGTERM', 'SIGTERM')
    const died = await ended
    t.equal(died.code, 143)
    const other = await place.again(died, { env: { ANTHROPIC_API_KEY: 'sk-ant-other-key' } })
    t.equal(other.code, 5)
    t.match(other.err, /belongs to workspace wrkspc_a, but this key belongs to wrkspc_b/)
    const ran = await place.again(died)
    t.equal(ran.code, 0, ran.err)
    t.equal(ran.rows.length, 3)
    const { accepted, acceptedTwice } = await place.emulator.ledger.totals()
    t.same({ accepted, acceptedTwice }, { accepted: 3, acceptedTwice: 0 })
  },
)

void t.test('a gateway that counts tokens with the key of another workspace', async t => {
  const headers = { 'anthropic-workspace-id': 'wrkspc_other' }
  const faults = [{ on: 'count_tokens', headers }] as const
  for (const isLost of [false, true]) {
    const lost = { on: 'create', nth: 1, when: 'after', reset: true } as const
    const place = await placeFor(t, { faults: [...faults, ...(isLost ? [lost] : [])] })
    const first = await place.run([...ASK, '--detach'], { stdin: csv(3) })
    t.equal(first.code, 0, first.err)
    const ran = await place.run(['resume', 'a'])
    t.equal(ran.code, 0, ran.err)
    t.equal(ran.rows.length, 3)
    t.equal((await place.emulator.ledger.totals()).accepted, 3)
  }
})

void t.test('the reason why the first free call waits is reported', async t => {
  const place = await placeFor(t, {
    faults: [{ on: 'count_tokens', nth: 1, status: 529, error: { message: 'too much' } }],
  })
  const ran = await place.run(ASK, { stdin: csv(1) })
  t.equal(ran.code, 0, ran.err)
  t.match(
    ran.err,
    /waiting for the API: the API answered 529: too much \(--no-preflight leaves this call out\)/,
  )
})

void t.test('a page instead of the count of tokens is no reason to give up', async t => {
  const body = '<html>fine</html>'
  const place = await placeFor(t, { faults: [{ on: 'count_tokens', status: 200, body }] })
  const ran = await place.run(ASK, { stdin: csv(1), clock: FAST_CLOCK })
  t.match(ran, { code: 8, err: /--no-preflight leaves this call out/ })
  t.equal((await place.run([...ASK, '--no-preflight'], { stdin: csv(1) })).code, 0)
})

void t.test('what a gateway says of this call alone names the way around it', async t => {
  for (const [code, fault] of [
    [5, { status: 403, body: '{"error":{"message":"this key may not call this route"}}' }],
    [2, { status: 400, error: { message: 'count_tokens is not supported' } }],
  ] as const) {
    const place = await placeFor(t, { faults: [{ on: 'count_tokens', ...fault }] })
    const ran = await place.run(ASK, { stdin: csv(1) })
    t.match(ran, { code, err: /\(--no-preflight leaves this call out\)/ })
    t.equal((await place.run([...ASK, '--no-preflight'], { stdin: csv(1) })).code, 0)
  }
  const revoked = await placeFor(t, { faults: [{ on: 'count_tokens', status: 401 }] })
  t.notMatch((await revoked.run(ASK, { stdin: csv(1) })).err, '--no-preflight')
})

void t.test('where a gateway refuses the call with an error of its own, it is skipped', async t => {
  for (const [status, body] of [
    [405, '<html>no such method</html>'],
    [422, '{"detail":"no such route"}'],
  ] as const) {
    const place = await placeFor(t, { faults: [{ on: 'count_tokens', status, body }] })
    const ran = await place.run(ASK, { stdin: csv(1) })
    t.equal(ran.code, 0, ran.err)
    t.equal(ran.rows.length, 1)
  }
})

void t.test('a key that the API echoes appears in no row', async t => {
  const place = await placeFor(t, {
    faults: [
      {
        on: 'create',
        nth: 1,
        status: 400,
        error: { message: `requests.1.params: not with ${KEY}` },
      },
    ],
  })
  const ran = await place.run(ASK, { stdin: csv(3) })
  t.equal(ran.code, 3)
  t.match(ran.rows[1]?._batch?.error?.message, /not with \*\*\*/)
  t.notMatch(ran.out + ran.err, KEY)
})

/** A clock that begins at a time. */
function from(time: string): { now(): number } {
  const apart = Date.parse(time) - Date.now()
  return { now: () => Date.now() + apart }
}

void t.test('R16: a deprecated model is reported with its date', async t => {
  const place = await placeFor(t, { clock: from('2026-11-20T12:00:00Z') })
  const ran = await place.run([...ASK, '-m', 'claude-sonnet-4-5'], { stdin: csv(2) })
  t.equal(ran.code, 0, ran.err)
  t.match(
    ran.err,
    'the model claude-sonnet-4-5 is deprecated and retires on 2026-11-30: choose another one before',
  )
  const other = await place.run(['-p', '{{text}}', '-m', 'claude-opus-5'], { stdin: csv(2) })
  t.notMatch(other.err, /deprecated/)
  const off = ['-p', '{{text}}', '-m', 'claude-sonnet-4-5', '--no-preflight']
  t.notMatch((await place.run(off, { stdin: csv(2) })).err, /deprecated/)
})

void t.test('R16: nothing is sent for a model that retires before the batch can end', async t => {
  const place = await placeFor(t, { clock: from('2026-11-29T12:00:00Z') })
  const ran = await place.run([...ASK, '-m', 'claude-sonnet-4-5'], { stdin: csv(2) })
  t.equal(ran.code, 2, ran.err)
  t.match(
    ran.err,
    /claude-sonnet-4-5 retires on 2026-11-30, before a batch that is sent now has to end/,
  )
  t.equal((await place.emulator.ledger.totals()).accepted, 0)
})

void t.test('R16: the model data of the API decides; without it nothing is reported', async t => {
  const told = async (model: object | null, headers = {}): Promise<string> => {
    const body = JSON.stringify(model)
    const place = await placeFor(t, {
      faults: [{ on: 'models', nth: 1, body, headers, contentType: 'application/json' }],
    })
    const { err } = await place.run(['-p', '{{text}}'], { stdin: csv(1) })
    return err
  }
  const lifecycle = 'deprecated'
  t.match(
    await told({ lifecycle: 'retired' }),
    /the model claude-haiku-5-5 is retired; nothing was sent/,
  )
  t.match(
    await told({ lifecycle, retires_at: null }),
    /claude-haiku-5-5 is deprecated: choose another/,
  )
  t.match(await told({ lifecycle, retires_at: '2026-01-01T00:00:00Z' }), /retires on 2026-01-01/)
  t.notMatch(await told({}), /deprecated|retire/)
  t.notMatch(await told(null), /deprecated|retire/)
  const soon = new Date(Date.now() + 3_600_000).toISOString()
  t.match(
    await told({ lifecycle, retires_at: soon }, { date: 'today' }),
    /before a batch that is sent now has to end/,
    'without the time of the API its own time counts',
  )
})

void t.test('R16: an API without model data is used all the same', async t => {
  const place = await placeFor(t, { faults: [{ on: 'models', status: 501 }] })
  const ran = await place.run(ASK, { stdin: csv(1) })
  t.match(ran, { code: 0, rows: [{ _batch: { status: 'succeeded' } }] })
})
