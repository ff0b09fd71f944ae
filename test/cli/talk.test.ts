import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { forTerminal, printable, redacted, secretsIn, shownWords } from '../../lib/cli/shown.ts'
import { wantsColour } from '../../lib/cli/talk-style.ts'
import { Talk } from '../../lib/cli/talk.ts'
import { Collected, csv, KEY, placeFor, run } from './world.ts'

const ASK = ['-p', 'Say {{text}}', '--job', 'mood']

t.test('keys are never shown, whether or not they are in use', async t => {
  t.equal(
    redacted(`a ${KEY}b, https://user:pass@proxy:80/x@y`),
    'a sk-ant-***, https://***@proxy:80/x@y',
  )
  const secrets = secretsIn({ ANTHROPIC_API_KEY: 'of-a-gateway', ANTHROPIC_AUTH_TOKEN: 'short' })
  t.equal(redacted('short of-a-gateway of-a-gateway', secrets), 'short *** ***')
  t.equal(redacted('of%2da%2Dgateway b2YtYS1nYXRld2F5', secrets), '*** ***')
  const env = { ANTHROPIC_API_KEY: 'of-a-gateway' }
  const ran = await run(['of-a-gateway'], { env })
  t.match(ran.err, '"***" is not a command')
})

t.test('the command line is shown without the password of the ledger', async t => {
  const url = 'postgres://me:secret@db/jobs'
  t.same(shownWords(['--ledger', url, `--ledger=${url}`, '-p', 'a:b@c']), [
    ...['--ledger', 'postgres://me@db/jobs', '--ledger=postgres://me@db/jobs', '-p', 'a:b@c'],
  ])
})

t.test(
  'nothing that moves the cursor reaches a terminal, neither in rows nor in messages',
  async t => {
    const evil = '\u001b[2J\u009b1A\u0007x'
    t.equal(forTerminal(`${evil}\t\n`), '[2J1Ax\t\n')
    const place = await placeFor(t, { respond: () => `${evil}é\n` })
    const stdout = Object.assign(new Collected(), { isTTY: true })
    await place.run([...ASK, '--to', 'text'], { stdin: csv(1), stdout })
    t.equal(stdout.text, '[2J1Axé\n\n')
    const piped = await place.run([...ASK, '--fresh', '--to', 'text'], { stdin: csv(1) })
    t.equal(piped.out, `${evil}é\n\n`, 'a pipe gets what the answer is')
    const screen = Object.assign(new Collected(), { isTTY: true })
    t.equal((await place.run(['status'], { stdout: screen })).code, 0)
    t.match(screen.text, /^mood  finished/)
  },
)

t.test('--log-format json gives each message as one object', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--log-format', 'json'], { stdin: csv(1) })
  t.match(
    ran.said.map(line => JSON.parse(line)),
    [
      { time: /^\d{4}-/, level: 'info', message: /^job mood: 1 row/ },
      { level: 'info', message: /^job mood: spent/ },
    ],
  )
  const failed = await place.run([...ASK, '--log-format', 'json', '--fresh', '-p', '{{no}}'], {
    stdin: csv(1),
  })
  t.match(JSON.parse(failed.said[0] ?? ''), { level: 'error', code: 'CBS_INPUT', message: /no/ })
  const stopped = await place.run([...ASK, '--fresh', '--detach', '--log-format', 'json'], {
    stdin: csv(1),
  })
  t.match(JSON.parse(stopped.said.at(-1) ?? ''), { level: 'warn', next: ['resume', 'mood'] })
  const wrong = await run(['--log-format', 'json', '--nope'])
  t.match(JSON.parse(wrong.err), { level: 'error', code: 'CBS_OPTION', message: /--nope/ })
})

t.test('-v shows the code of an error, and only -vv its stack', async t => {
  const words = ['-p', '{{no}}', '--emulate']
  const of = async (...more: string[]): Promise<readonly string[]> =>
    (await run([...words, ...more], { stdin: csv(1) })).said
  t.equal((await of()).length, 1)
  t.match((await of('-v')).at(-1), /\[CBS_INPUT\]$/)
  t.match((await of('-vv')).join('\n'), /\[CBS_INPUT\]\n {4}BatchStreamError: .*\n {4,}at /)
  t.equal((await run(['--nope', '-v'])).said.length, 1)
  t.ok((await run(['--nope', '-vv'])).said.length > 2)
  t.ok((await run(['--nope', '-v', '-v'])).said.length > 2)
  const json = await of('-vv', '--log-format', 'json')
  t.match(JSON.parse(json.at(-1) ?? ''), { code: 'CBS_INPUT', stack: /at / })
  const loud = new Collected()
  new Talk(loud, false, 2, { json: true }).fail('a bug', undefined, undefined)
  t.match(JSON.parse(loud.text), { message: 'a bug', code: null })
})

t.test('colour is only used on terminals, unless set otherwise', async t => {
  const on = (env: Record<string, string>, isTTY?: boolean): boolean =>
    wantsColour({
      env,
      stderr: Object.assign(new Collected(), isTTY === undefined ? {} : { isTTY }),
    })
  t.equal(on({}, true), true)
  t.equal(on({}), false)
  t.equal(on({ TERM: 'dumb' }, true), false)
  t.equal(on({ NO_COLOR: '1', FORCE_COLOR: '1' }, true), false)
  t.equal(on({ NO_COLOR: '' }, true), true)
  t.equal(on({ FORCE_COLOR: '1' }), true)
  t.equal(on({ FORCE_COLOR: '0' }, true), false)
  for (const [when, begin] of [
    ['always', '\u001b[1;31mclaude-batch-stream:\u001b[0m '],
    ['never', 'claude-batch-stream: '],
    ['auto', 'claude-batch-stream: '],
  ] as const) {
    const ran = await run(['-p', '{{no}}', '--emulate', '--color', when], { stdin: csv(1) })
    t.ok(ran.err.startsWith(begin), when)
  }
  t.match(
    (await run(['--emulate', '--color', 'red'])).err,
    /--color must be one of auto, always, never/,
  )
})

t.test('a misspelt job name gets a suggestion', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(1) })
  t.match((await place.run(['results', 'moof'])).err, 'there is no job moof')
  t.match((await place.run(['results', 'moof'])).err, 'did you mean "mood"?')
})

t.test('a second Ctrl-C prints the command that continues, and exits', async t => {
  const place = await placeFor(t, { batchTimeMs: 60_000 })
  const { world, ended } = place.start([...ASK, '--progress', 'json'], { stdin: csv(1) })
  await new Promise<void>(done => {
    world.stderr.on('told', () => world.stderr.text.includes('"submitted"') && done())
  })
  world.emit('SIGINT', 'SIGINT')
  world.emit('SIGINT', 'SIGINT')
  t.same(world.exits, [130])
  t.match(world.stderr.text, 'to continue: claude-batch-stream resume mood')
  t.equal((await ended).code, 130)
})

t.test('a text of hundreds of thousands of spaces is shown without delay', async t => {
  const began = performance.now()
  const blanks = ' '.repeat(400_000)
  t.equal(printable(`a${blanks}\n${blanks}b`), 'a b')
  t.equal(printable(`a${blanks}b`).length, 400_002)
  t.equal(redacted(blanks), blanks)
  t.ok(performance.now() - began < 5000)
})

t.test('the progress line waits for a terminal that is not read', t => {
  const written: string[] = []
  let release = (): void => {}
  const stderr = new Writable({
    highWaterMark: 4,
    write(chunk, _, done) {
      written.push(String(chunk))
      release = done
    },
  })
  const talk = new Talk(stderr, false, 0)
  for (const text of ['one', 'two', 'three']) talk.line(text)
  t.match(written, ['one'])
  release()
  talk.line('four')
  t.match(written, ['one', 'four'])
  t.end()
})

t.test('the progress line stays off while another program prints the rows', t => {
  const stderr = new Collected()
  const talk = new Talk(stderr, false, 0)
  const stdout = new Collected()
  let now = 1000
  t.intercept(performance, 'now', { value: () => now })
  const rows = talk.beside(stdout, { keepOff: true })
  talk.line('1 of 2')
  rows.write('row')
  talk.line('2 of 2')
  t.equal(stderr.text, '\r\u001b[J1 of 2\r\r\u001b[J')
  now += 500
  talk.line('2 of 2')
  t.match(stderr.text, /2 of 2\r$/)
  t.equal(stdout.text, 'row')
  t.end()
})

t.test('rows reach another program beside the progress line', async t => {
  const place = await placeFor(t)
  const server = createServer().listen(0)
  t.teardown(() => server.close())
  await once(server, 'listening')
  const reader = once(server, 'connection').then(async ([socket]) => await text(socket))
  // An address of a TCP server is no path.
  const stdout = connect((server.address() as AddressInfo).port)
  const ran = await place.run([...ASK, '--progress', 'bar'], {
    stdin: csv(3),
    stdout,
    terminal: async () => undefined,
  })
  t.equal(ran.code, 0, ran.err)
  stdout.end()
  t.equal((await reader).trimEnd().split('\n').length, 3)
})
