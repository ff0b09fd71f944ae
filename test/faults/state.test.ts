import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  createWriteStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { isExcepted, proxied } from '../../lib/cli/proxy.ts'
import { VERSION } from '../../lib/core/job/state.ts'
import type { Faults } from '../../lib/emulator/index.ts'
import {
  csv,
  everythingIn,
  journaled,
  KEY,
  nextWords,
  placeFor,
  rowsOf,
  run,
  until,
  type Place,
  type Ran,
} from '../cli/world.ts'

const ASK = ['--job', 'a', '-p', 'Say {{text}}']

/** A job whose batch is still at the API. */
async function halfDone(t: Test): Promise<{ place: Place; folder: string; journal: string }> {
  const place = await placeFor(t)
  await place.run([...ASK, '--detach'], { stdin: csv(3) })
  const folder = join(place.state, 'jobs/a')
  return { place, folder, journal: join(folder, 'journal.jsonl') }
}

/** Expects that every command that would resume the job refuses it and sends nothing. */
async function refused(t: Test, place: Place, code: number, says: RegExp): Promise<void> {
  for (const words of [ASK, ['resume', 'a'], ['-p', 'Say {{text}}'], ['results', 'a']].slice(
    0,
    3,
  )) {
    const ran = await place.run(words, { stdin: csv(3) })
    t.equal(ran.code, code, ran.err)
    t.match(ran.err, says)
    t.notMatch(ran.err, 'to continue')
  }
  t.equal(place.emulator.ledger.batches().length, 1)
}

t.test('C13 an empty journal is reported as damage, with a hint to doctor', async t => {
  const { place, journal } = await halfDone(t)
  writeFileSync(journal, '')
  await refused(
    t,
    place,
    10,
    /job a cannot be used: the job's journal has lost its end .* see `claude-batch-stream doctor`\n$/,
  )
})

t.test('C14 a missing journal is reported as damage', async t => {
  const { place, journal } = await halfDone(t)
  rmSync(journal)
  await refused(t, place, 10, /has no journal/)
})

t.test(
  'C15 a journal of a newer version is refused, and the message names both versions',
  async t => {
    const { place, folder, journal } = await halfDone(t)
    const { formatLine, NO_SUM } = await import('../../lib/store/journal-line.ts')
    const { line } = formatLine({ type: 'opened', version: 7, run: 'a', at: 0 }, NO_SUM)
    writeFileSync(journal, line)
    rmSync(`${folder}/journal.end`)
    const newer = `newer version of this program \\(format 7; this one reads format ${VERSION}\\)`
    await refused(t, place, 10, new RegExp(newer))
  },
)

t.test('a journal with a changed byte is damage', async t => {
  const { place, journal } = await halfDone(t)
  writeFileSync(journal, readFileSync(journal, 'utf8').replace('"sealed"', '"sealeD"'))
  await refused(t, place, 10, /job a cannot be used/)
})

t.test('C20 a planted link is not followed', async t => {
  const { place, journal } = await halfDone(t)
  renameSync(journal, place.path('elsewhere'))
  symlinkSync(place.path('elsewhere'), journal)
  await refused(t, place, 9, /job a cannot be used/)
  const { code } = await run(
    ['-p', 'x', '--state-dir', place.path('link'), '--base-url', place.emulator.url],
    { stdin: 'a\n1\n', env: place.env },
  )
  t.equal(code, 0)
})

t.test('a damaged job.json is reported, and other jobs are not affected', async t => {
  const { place, folder } = await halfDone(t)
  writeFileSync(join(folder, 'job.json'), '{')
  t.equal((await place.run(['resume', 'a'])).code, 10)
  t.equal((await place.run(['--job', 'b', '-p', 'Say {{text}}'], { stdin: csv(1) })).code, 0)
  t.match((await run(['list', '--state-dir', place.state])).out, /^a +damaged .*\nb/)
  for (const other of ['{}', 'null', '[1]']) {
    writeFileSync(join(folder, 'job.json'), other)
    t.match(await place.run(['resume', 'a']), { code: 10, err: /job\.json was changed since/ })
  }
  rmSync(join(folder, 'job.json'))
  t.match(await place.run(['resume', 'a']), { code: 10, err: /has no record of its command/ })
  writeFileSync(join(place.state, 'jobs/.DS_Store'), 'x')
  t.equal((await run(['list', '--state-dir', place.state])).code, 0)
})

t.test('no bit of job.json changes unnoticed, and nothing is sent', async t => {
  const { place, folder } = await halfDone(t)
  const path = join(folder, 'job.json')
  const right = readFileSync(path)
  for (let at = 0; at < right.length; at += 7) {
    const changed = Buffer.from(right)
    changed.writeUInt8((right[at] as number) ^ (1 << (at % 8)), at)
    writeFileSync(path, changed)
    t.equal((await place.run(['resume', 'a'])).code, 10, `byte ${at}`)
    t.match((await run(['list', '--state-dir', place.state])).out, /^a +damaged/, `byte ${at}`)
  }
  writeFileSync(path, right)
  t.equal((await place.run(['resume', 'a'])).code, 0)
})

t.test('a job that crashed before its start is started anew', async t => {
  const place = await placeFor(t)
  mkdirSync(join(place.state, 'jobs/a'), { recursive: true })
  writeFileSync(join(place.state, 'jobs/a/journal.jsonl.next'), 'torn')
  t.match(await place.run(['resume', 'a']), { code: 6, err: /run the same command again/ })
  t.equal((await place.run(ASK, { stdin: csv(1) })).code, 0)
  const { openJob } = await import('../../lib/store/open.ts')
  await (await openJob({ dir: place.state, name: 'b' })).close()
  t.match(await place.run(['resume']), { code: 2, err: /no job in .* is unfinished/ })
  t.match(await place.run(['resume', 'b']), {
    code: 6,
    err: /job b ended before any of its input was spooled, and nothing was sent: run the same command again/,
  })
  t.equal((await place.run(['--job', 'b', '-p', 'Say {{text}}'], { stdin: csv(1) })).code, 0)
})

t.test('C11 an incomplete last line is truncated', async t => {
  const { place, journal } = await halfDone(t)
  const [line = ''] = readFileSync(journal, 'utf8').split('\n').slice(-2)
  appendFileSync(journal, line.slice(0, 60))
  const ran = await place.run(['resume', 'a'])
  t.same([ran.code, ran.rows.length], [0, 3])
})

t.test('C18 a read-only state directory is detected before anything is sent', async t => {
  const place = await placeFor(t)
  const ran = await run(
    ['-p', 'Say {{text}}', '--state-dir', '/dev/null/x', '--base-url', place.emulator.url],
    { stdin: csv(1), env: place.env },
  )
  t.equal(ran.code, 9)
  t.same(place.emulator.ledger.calls(), [])
})

t.test('C21 the same command resumes its job and pays for nothing twice', async t => {
  const { place } = await halfDone(t)
  const ran = await place.run(['-p', 'Say {{text}}', '-o', place.path('out.jsonl')], {
    stdin: csv(3),
  })
  t.equal(ran.code, 0)
  t.match(ran.err, 'resuming job a, which this command left unfinished (--fresh starts a new job)')
  t.match(await place.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
})

t.test('C23 another prompt starts another job, and the old job stays', async t => {
  const { place } = await halfDone(t)
  const other = await place.run(['-p', 'Tell {{text}}'], { stdin: csv(3) })
  t.equal(other.code, 0)
  t.match((await run(['list', '--state-dir', place.state])).out, /^a +unfinished/)
  const named = await place.run(['--job', 'a', '-p', 'Tell {{text}}'], { stdin: csv(3) })
  t.match(named, { code: 6, err: /job a belongs to another command or input; nothing was sent/ })
})

t.test('changed input is reported before anything is sent', async t => {
  for (const input of [csv(3).replace('text 2', 'texT 2'), csv(2), csv(4)]) {
    const { place } = await halfDone(t)
    const ran = await place.run(ASK, { stdin: input })
    t.equal(ran.code, 6, ran.err)
    t.equal(place.emulator.ledger.batches().length, 1)
    t.equal((await place.again(ran)).rows.length, 3, 'the job goes on as it was')
  }
})

t.test(
  'a finished name runs with other input only with --fresh, which keeps the old answers',
  async t => {
    const place = await placeFor(t)
    await place.run(ASK, { stdin: csv(1) })
    const calls = place.emulator.ledger.lastCalls().length
    const ran = await place.run(ASK, { stdin: csv(2) })
    t.match(ran, {
      code: 6,
      err: /job a is finished and belongs to another command or input; nothing was sent. `claude-batch-stream results a` prints its rows, --fresh starts a new job/,
    })
    t.equal(place.emulator.ledger.lastCalls().length, calls)
    const fresh = await place.run([...ASK, '--fresh'], { stdin: csv(2) })
    t.same([fresh.code, fresh.rows.length], [0, 2])
    const [, aside = ''] = /was renamed to (\S+)/.exec(fresh.err) ?? []
    t.equal((await place.run(['results', aside])).rows.length, 1)
  },
)

t.test('--fresh starts a new job although the same command has an unfinished one', async t => {
  const { place } = await halfDone(t)
  const ran = await place.run(['-p', 'Say {{text}}', '--fresh'], { stdin: csv(3) })
  t.equal(ran.code, 0)
  t.equal(readdirSync(join(place.state, 'jobs')).length, 2)
})

t.test(
  'a file whose job was interrupted early is read again on resume, from any folder',
  async t => {
    let isCounting = false
    // The first call stalls. It is logged only when it ends, so it is noticed here.
    const faults: Faults = ({ op }) => {
      if (op !== 'count_tokens' || isCounting) return undefined
      isCounting = true
      return { stallMs: 'forever' }
    }
    const place = await placeFor(t, { faults }, { 'in.csv': csv(5) })
    const home = process.cwd()
    process.chdir(place.dir)
    const { world, ended } = place.start([...ASK, '-i', 'in.csv'])
    await until(() => isCounting)
    world.emit('SIGINT', 'SIGINT')
    const first = await ended
    process.chdir(home)
    t.equal(first.code, 130)
    const ran = await place.again(first)
    t.same([ran.code, ran.rows.length], [0, 5])
  },
)

t.test('F07 an output that was changed meanwhile is not overwritten', async t => {
  let held = true
  const place = await placeFor(t, {
    faults: ({ op, batch }) =>
      op === 'results' && batch === 2 && held ? { stallMs: 'forever' } : undefined,
  })
  const out = place.path('out.jsonl')
  const { world, ended } = place.start([...ASK, '--batch-size', '2', '-o', out], { stdin: csv(3) })
  await until(() => journaled(place, 'written', 'a'))
  world.emit('SIGINT', 'SIGINT')
  const stopped = await ended
  held = false
  const [first = ''] = place.read('out.jsonl').split('\n')
  writeFileSync(out, first)
  const ran = await place.again(stopped)
  t.match(ran, { code: 6, err: /out.jsonl has changed since the last run/ })
  const shape = await run([...nextWords(stopped), '--to', 'csv'], { env: place.env })
  t.match(shape, { code: 2, err: /holds rows already, and not of this shape/ })
  const other = await run([...nextWords(stopped), '-o', place.path('other.jsonl')], {
    env: place.env,
  })
  t.equal(other.code, 0)
  t.equal(place.read('other.jsonl').split('\n').length, 4)
})

t.test('P08 a second Ctrl-C exits at once and still prints the command that continues', async t => {
  const place = await placeFor(t, { batchTimeMs: 400 })
  const { world, ended } = place.start(ASK, { stdin: csv(2) })
  await until(() => place.emulator.ledger.batches().length === 1)
  world.emit('SIGINT', 'SIGINT')
  world.emit('SIGTERM', 'SIGTERM')
  t.same(world.exits, [143])
  const said = world.stderr.text.split('\n').slice(0, -1)
  t.match(said, [/^to continue: claude-batch-stream resume a/])
  await ended
  t.equal((await place.again({ said })).rows.length, 2)
})

t.test('a signal ends a wait for input', async t => {
  const place = await placeFor(t)
  for (const words of [
    ['-p', 'hi'],
    ['-p', 'hi', '--limit', '3'],
  ]) {
    const stdin = new PassThrough()
    const { world, ended } = place.start(words, { stdin })
    stdin.write('a\n1\n')
    await until(() => world.listenerCount('SIGINT') > 0)
    await new Promise(setImmediate)
    world.emit('SIGINT', 'SIGINT')
    t.equal((await ended).code, 130)
  }
})

t.test('two runs never use one job at once', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000, cancelTimeMs: 20 })
  const { ended } = place.start(ASK, { stdin: csv(2) })
  await until(() => place.emulator.ledger.batches().length === 1)
  const second = await place.run(ASK, { stdin: csv(2) })
  t.equal(second.code, 7)
  t.equal((await run(['prune', '--keep', '0s', '--state-dir', place.state])).code, 0)
  const [batch] = place.emulator.ledger.batches()
  await place.run(['cancel', batch?.id ?? '', '-y'])
  t.equal((await ended).rows.length, 2)
})

t.test('without a key nothing is started, and a trial run without one is suggested', async t => {
  const place = await placeFor(t)
  process.env['ANTHROPIC_CONFIG_DIR'] = place.path('none')
  t.teardown(() => delete process.env['ANTHROPIC_CONFIG_DIR'])
  const ran = await place.run(ASK, { stdin: csv(1), env: {} })
  t.equal(ran.code, 5)
  t.match(
    ran.err,
    /there is no API key: set ANTHROPIC_API_KEY .*, or use --emulate to try without one\n$/,
  )
  t.throws(() => readdirSync(place.state), { code: 'ENOENT' })
  const broken = await place.run(ASK, {
    stdin: csv(1),
    env: { ANTHROPIC_API_KEY: 'sk-ant-\u0001\n-x' },
  })
  t.equal(broken.code, 5)
  t.match(broken.err, /ANTHROPIC_API_KEY must hold one key/)
  t.notMatch(broken.err, 'sk-ant')
  t.same(place.emulator.ledger.calls(), [])
  const token = await place.run(ASK, { stdin: csv(1), env: { ANTHROPIC_AUTH_TOKEN: KEY } })
  t.equal(token.code, 0)
  t.notMatch(everythingIn(place.state), KEY)
})

t.test('a profile of the SDK is accepted as a login, and a broken one is reported', async t => {
  const place = await placeFor(t, {}, {
    config: {
      configs: { 'default.json': '{"version":"1.0","authentication":{"type":"user_oauth"}}' },
      credentials: {
        'default.json': JSON.stringify({ version: '1.0', type: 'oauth_token', access_token: KEY }),
      },
    },
  } as unknown as Record<string, string>)
  chmodSync(place.path('config/credentials/default.json'), 0o600)
  process.env['ANTHROPIC_CONFIG_DIR'] = place.path('config')
  t.teardown(() => delete process.env['ANTHROPIC_CONFIG_DIR'])
  const ran = await place.run(ASK, { stdin: csv(1), env: {} })
  t.equal(ran.code, 0, ran.err)
  writeFileSync(place.path('config/configs/default.json'), '{')
  const broken = await place.run(['--job', 'b', '-p', 'Say {{text}}'], { stdin: csv(1), env: {} })
  t.match(broken, { code: 5, err: /the login profile cannot be used/ })
})

t.test('N34 calls use the configured proxy, except for hosts in NO_PROXY', async t => {
  const asked: string[] = []
  const proxy = createServer(socket => {
    socket.once('data', data => {
      asked.push(String(data).split('\r\n')[0] ?? '')
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    })
    socket.on('error', () => {})
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => proxy.close())
  // It listens on a port.
  const { port } = proxy.address() as AddressInfo
  const env = { ANTHROPIC_API_KEY: KEY, HTTPS_PROXY: `http://127.0.0.1:${port}` }
  const place = await placeFor(t)
  const words = ['list', '--remote', '--base-url', 'https://api.example.invalid']
  const { World } = await import('../cli/world.ts')
  const { main } = await import('../../lib/cli/main.ts')
  const world = new World({ env })
  const ended = main(words, world)
  await until(() => asked.length > 0)
  world.emit('SIGINT', 'SIGINT')
  t.equal(await ended, 130)
  t.equal(asked[0], 'CONNECT api.example.invalid:443 HTTP/1.1', 'the key goes through a tunnel')
  const api = new URL('https://api.example.invalid')
  for (const [noProxy, is] of [
    ['', false],
    ['other, api.example.invalid', true],
    ['.example.invalid', true],
    ['*.invalid', true],
    ['*', true],
    ['example.invalid:443', true],
    ['example.invalid:8443', false],
    ['pi.example.invalid', false],
  ] as const)
    t.equal(isExcepted(api, noProxy), is, noProxy)
  t.same(await proxied({ ...env, NO_PROXY: 'invalid' }, api.href), {})
  t.equal((await place.run(['list', '--remote'], { env })).code, 0, 'this machine needs no proxy')
  for (const HTTPS_PROXY of ['socks5://me:secret@x', 'me:secret@:x', '//me:secret@x']) {
    const wrong = await run(words, { env: { ...env, HTTPS_PROXY } })
    t.match(wrong, { code: 2, err: /HTTPS_PROXY must be an http:\/\/ or https:\/\/ URL\n$/ })
  }
  const wrong = await run(words, { env: { ...env, HTTPS_PROXY: 'http://me:50%secret@x' } })
  t.match(wrong, { code: 2, err: /in HTTPS_PROXY must be percent-encoded: write % as %25\n$/ })
  t.notMatch(wrong.err, /secret/)
})

t.test('blanks around ANTHROPIC_BASE_URL are ignored', async t => {
  const place = await placeFor(t)
  const env = { ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: ` ${place.emulator.url}\t` }
  t.match(await run(['list', '--remote'], { env }), { code: 0, err: '' })
})

t.test('N34 a proxy that closes the connection has refused it', async t => {
  let connections = 0
  const proxy = createServer(socket => {
    connections += 1
    socket.on('error', () => {}).once('data', () => socket.end())
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => proxy.close())
  // It listens on a port.
  const { port } = proxy.address() as AddressInfo
  const api = 'https://api.example.invalid'
  const { fetch, fetchOptions } = await proxied({ HTTPS_PROXY: `http://127.0.0.1:${port}` }, api)
  // undici's own fetch needs its own options.
  const call = async (): Promise<void> => void (await fetch?.(api, fetchOptions as RequestInit))
  await t.rejects(call(), {
    cause: { message: 'the proxy does not connect: other side closed' },
  })
  t.equal(connections, 1)
})

t.test('a template module that never loads is reported', async t => {
  const module = 'await new Promise(() => {})\nexport default () => "hello"\n'
  const place = await placeFor(t, {}, { 'ask.mjs': module })
  const listeners = process.listenerCount('beforeExit')
  const stuck = place.run(['--template', place.path('ask.mjs')], { stdin: csv(2) })
  await until(() => process.listenerCount('beforeExit') > listeners)
  // Node calls it when nothing is left to wait for, which this process has.
  process.listeners('beforeExit').at(-1)?.(0)
  t.match(await stuck, {
    code: 2,
    err: /ask\.mjs cannot be loaded: an `await` in it never ends\n$/,
  })
})

t.test('the workspace and the betas of a job are used again on resume', async t => {
  const place = await placeFor(t, { keys: { [KEY]: 'wrkspc_1' }, batchTimeMs: 100 })
  const wrong = await place.run([...ASK, '--workspace', 'wrkspc_2'], { stdin: csv(1) })
  t.match(wrong, { code: 5, err: /belongs to workspace wrkspc_1, not to wrkspc_2/ })
  const right = await place.run(
    [
      '--job',
      'b',
      '-p',
      'Say {{text}}',
      '--workspace',
      'wrkspc_1',
      '--beta',
      'output-300k-2026-03-24',
      '--detach',
    ],
    { stdin: csv(1) },
  )
  t.equal(right.code, 0)
  const card = JSON.parse(readFileSync(join(place.state, 'jobs/b/job.json'), 'utf8'))
  t.match(card.settings.run, { workspace: 'wrkspc_1', betas: ['output-300k-2026-03-24'] })
  t.equal((await place.again(right)).rows.length, 1)
})

t.test('a changed template is reported, and resume does not start another job', async t => {
  const place = await placeFor(
    t,
    { batchTimeMs: 100 },
    { 'ask.mjs': 'export default fields => `Say ${fields.text}`\n' },
  )
  const words = ['--job', 'a', '--template', place.path('ask.mjs')]
  const first = await place.run([...words, '--detach'], { stdin: csv(2) })
  writeFileSync(place.path('ask.mjs'), 'export default fields => `Tell ${fields.text}`\n')
  t.match(await place.run(words, { stdin: csv(2) }), { code: 6, err: /another command or input/ })
  const ran = await place.again(first)
  t.equal(ran.code, 0)
  t.match(ran.err, 'has changed since the job started')
  t.match(ran.rows[0]?.response, /: Say text 0$/)
})

t.test(
  'an unreadable job.json is reported before anything is sent, and the lock is released',
  async t => {
    const place = await placeFor(t)
    mkdirSync(join(place.state, 'jobs/a/job.json.next'), { recursive: true })
    const ran = await place.run(ASK, { stdin: csv(1) })
    t.match(ran, { code: 9, err: /cannot open .*job.json.next/ })
    t.same(place.emulator.ledger.calls(), [])
    rmSync(join(place.state, 'jobs/a/job.json.next'), { recursive: true })
    t.equal((await place.run(ASK, { stdin: csv(1) })).code, 0)
  },
)

t.test('prune skips a job that is in use', async t => {
  const place = await placeFor(t)
  await place.run(ASK, { stdin: csv(1) })
  const { lockFolder } = await import('../../lib/store/lock.ts')
  const lock = await lockFolder(join(place.state, 'jobs/a'))
  const prune = ['prune', '--keep', '0s', '--state-dir', place.state]
  t.same(await run(prune).then(({ code, err }) => [code, err]), [0, ''])
  await lock.release()
  t.equal((await run(prune)).err, 'deleted job a\n')
})

t.test('a run with more or fewer rows than records reports that and does not finish', async t => {
  const { openStoredJob } = await import('../../lib/store/open.ts')
  const { finish } = await import('../../lib/cli/finish.ts')
  const { RowTally } = await import('../../lib/cli/tally.ts')
  const { Talk } = await import('../../lib/cli/talk.ts')
  const job = await openStoredJob({ dir: t.testdir({}), name: 'a' })
  t.teardown(() => job.close())
  const tally = new RowTally()
  tally.add({ status: 'succeeded', usage: null })
  const talk = new Talk(new PassThrough(), false, 0)
  await t.rejects(finish(job, tally, talk, []), {
    code: 'CBS_STAGE',
    message: /0 records and gave 1 rows/,
  })
  t.equal(job.state.finished, false)
})

/** A run that was interrupted while its input, a file, was still being written. */
async function readInPart(t: Test): Promise<{ place: Place; input: string; stopped: Ran }> {
  const place = await placeFor(t)
  const input = place.path('in.csv')
  execFileSync('mkfifo', [input])
  const { world, ended } = place.start([...ASK, '-i', input, '--batch-size', '5'])
  const writer = createWriteStream(input)
  writer.write(csv(30).slice(0, -3))
  await until(() => place.emulator.ledger.batches().length > 1)
  world.emit('SIGINT', 'SIGINT')
  writer.end()
  const stopped = await ended
  t.same([stopped.code, nextWords(stopped).slice(0, 2)], [130, ['resume', 'a']])
  rmSync(input)
  return { place, input, stopped }
}

t.test('a file that was not read to its end is read again on resume', async t => {
  const { place, input, stopped } = await readInPart(t)
  writeFileSync(input, csv(40))
  const ran = await place.again(stopped)
  t.same([ran.code, ran.rows.length], [0, 40], ran.err)
  t.match(await place.emulator.ledger.totals(), { accepted: 40, acceptedTwice: 0 })
})

t.test('resume --detach reads such a file to its end and exits', async t => {
  const { place, input, stopped } = await readInPart(t)
  writeFileSync(input, csv(40))
  t.match(await place.run(['resume', 'a', '--detach']), { code: 0, out: 'a\n' })
  t.equal((await place.emulator.ledger.totals()).accepted, 40)
  rmSync(input)
  const ran = await place.again(stopped)
  t.same([ran.code, ran.rows.length], [0, 40], ran.err)
})

t.test('a file that ends too early can be completed, and nothing is paid twice', async t => {
  const { place, input, stopped } = await readInPart(t)
  const packed = gzipSync(csv(60))
  writeFileSync(input, packed.subarray(0, packed.length - 12))
  const ran = await place.again(stopped)
  t.match(ran, { code: 6, err: /the gzip bytes of .*in.csv break off/ })
  const count = ran.rows.length
  t.ok(count >= 30 && count < 60, `${count} rows`)
  t.match(
    ran.said.at(-1),
    /^to continue, once the input is complete \(paid rows are kept\): .* resume a /,
  )
  t.match(await place.run(['list', '--json']), { out: /"state": ?"unfinished"/ })
  const same = await place.again(ran)
  t.match(same, { code: 6, err: /break off/ }, 'nothing has changed')
  t.same([same.rows.length, (await place.emulator.ledger.totals()).accepted], [count, count])
  writeFileSync(input, gzipSync(csv(60).replace('text 7', 'text seven')))
  t.match(await place.again(ran), { code: 6, err: /the input has changed.*record 8/ })
  writeFileSync(input, gzipSync(csv(count - 5)))
  t.match(await place.again(ran), { code: 6, err: /the input has changed.*has \d+ records now/ })
  writeFileSync(input, gzipSync(csv(60)))
  const whole = await place.again(ran)
  t.same([whole.code, whole.rows.length], [0, 60], whole.err)
  t.same(
    whole.rows.map(row => row['text']).sort(),
    Array.from({ length: 60 }, (_, i) => `text ${i}`).sort(),
  )
  t.match(await place.emulator.ledger.totals(), { accepted: 60, acceptedTwice: 0 })
  t.match(await place.run(['list', '--json']), { out: /"state": ?"finished"/ })
})

t.test('a file that was cut right after its last record only needs its end', async t => {
  const place = await placeFor(t)
  const input = place.path('in.jsonl.gz')
  const packed = gzipSync(Array.from({ length: 60 }, (_, i) => `{"text":"text ${i}"}\n`).join(''))
  // Only the checksum is missing.
  writeFileSync(input, packed.subarray(0, packed.length - 8))
  const words = ['-p', 'Say {{text}}', '-i', input, '-o', place.path('out.jsonl')]
  const cut = await place.run(words)
  t.match(cut, { code: 6, err: /break off/ })
  const rows = place.read('out.jsonl')
  t.equal(rowsOf(rows).length, 60)
  writeFileSync(input, packed)
  t.equal((await place.again(cut)).code, 0)
  t.equal(place.read('out.jsonl'), rows)
  t.match(await place.emulator.ledger.totals(), { accepted: 60, acceptedTwice: 0 })
})

t.test('a pipe that ended too early continues with the whole input', async t => {
  const place = await placeFor(t)
  const packed = gzipSync(csv(60))
  const words = ['-p', 'Say {{text}}', '-o', place.path('out.jsonl')]
  const cut = await place.run(words, { stdin: packed.subarray(0, packed.length - 12) })
  t.match(cut, { code: 6, err: /the gzip bytes of the input break off/ })
  t.same(nextWords(cut).slice(-2), words.slice(-2))
  const whole = await place.again(cut, { stdin: packed })
  t.equal(whole.code, 0, whole.err)
  t.equal(new Set(rowsOf(place.read('out.jsonl')).map(row => row['text'])).size, 60)
  t.match(await place.emulator.ledger.totals(), { accepted: 60, acceptedTwice: 0 })
})

t.test('if one of several files ended too early, it is completed before the others', async t => {
  const place = await placeFor(t, {}, { 'b.csv': 'id,text\n60,text 60\n' })
  const [a, b] = [place.path('a.csv.gz'), place.path('b.csv')]
  const packed = gzipSync(csv(60))
  writeFileSync(a, packed.subarray(0, packed.length - 12))
  const cut = await place.run(['-p', 'Say {{text}}', '-i', a, b])
  t.equal(cut.code, 6)
  writeFileSync(a, packed)
  const whole = await place.again(cut)
  t.same([whole.code, whole.rows.length], [0, 61], whole.err)
  t.match(await place.emulator.ledger.totals(), { accepted: 61, acceptedTwice: 0 })
})

t.test('resume of a job whose input broke off ends with the same exit code', async t => {
  const place = await placeFor(t, {
    faults: ({ op, batch = 0 }) =>
      op === 'create' && batch > 1 && !isWell ? { status: 401 } : undefined,
  })
  let isWell = false
  const packed = gzipSync(csv(60))
  const stdin = packed.subarray(0, packed.length - 12)
  const stopped = await place.run([...ASK, '--no-preflight', '--batch-size', '9'], { stdin })
  t.equal(stopped.code, 5, stopped.err)
  isWell = true
  const left = await place.run(['resume', 'a', '--detach'])
  t.match(left, { code: 0, err: /the gzip bytes .*break off/ })
  const ran = await place.again(stopped)
  t.match(ran, { code: 6, err: /the gzip bytes .*break off/ })
  t.match(
    await place.run(['resume', 'a']),
    { code: 6, err: /break off/ },
    'and so when printed again',
  )
  const totals = await place.emulator.ledger.totals()
  t.same([totals.accepted, totals.acceptedTwice], [ran.rows.length, 0])
  t.ok(ran.rows.length >= 50, `${ran.rows.length} rows`)
})

t.test('N01 a batch of another job and a damaged job do not mislead a search', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--detach'], { stdin: csv(2) })
  mkdirSync(join(place.state, 'jobs/damaged'), { recursive: true })
  writeFileSync(join(place.state, 'jobs/damaged/journal.jsonl'), '')
  place.emulator.addFault({ on: 'create', nth: 1, when: 'after', reset: true })
  const ran = await place.run(['--job', 'b', '-p', 'Tell {{text}}'], { stdin: csv(2) })
  t.same([ran.code, ran.rows.length], [0, 2], ran.err)
  t.match(ran.rows[0]?.response, /: Tell text 0$/)
  t.match(await place.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})
