import t from 'tap'
import { csv, KEY, placeFor, until } from './world.ts'

const ASK = ['--job', 'a', '-p', 'Say {{text}}']

void t.test(
  'a create whose reply is lost is not made again with the key of another workspace (N14)',
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
    t.match(other.err, /lives in workspace wrkspc_a, and this key is of wrkspc_b/)
    const ran = await place.again(died)
    t.equal(ran.code, 0, ran.err)
    t.equal(ran.rows.length, 3)
    const { accepted, acceptedTwice } = await place.emulator.ledger.totals()
    t.same({ accepted, acceptedTwice }, { accepted: 3, acceptedTwice: 0 })
  },
)

void t.test('what the first free call waits for is said', async t => {
  const place = await placeFor(t, {
    faults: [{ on: 'count_tokens', nth: 1, status: 529, error: { message: 'too much' } }],
  })
  const ran = await place.run(ASK, { stdin: csv(1) })
  t.equal(ran.code, 0, ran.err)
  t.match(ran.err, /waiting for the API: the API answered 529: too much/)
})

void t.test('a key that the API tells is in no row', async t => {
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
  t.match(ran.rows[1]?._batch?.error?.message, /not with sk-ant-\*\*\*/)
  t.notMatch(ran.out + ran.err, KEY)
})
