import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { filesOf } from '../../lib/cli/input-files.ts'
import { commandFirst } from '../../lib/cli/main.ts'
import { longHelp } from '../../lib/cli/help.ts'
import { optionsOf, OPTIONS } from '../../lib/cli/options.ts'
import { commandLine, quote } from '../../lib/cli/finish.ts'
import { printable } from '../../lib/cli/shown.ts'
import { Talk } from '../../lib/cli/talk.ts'
import { countOrShare, duration, size } from '../../lib/cli/values.ts'
import { main } from '../../lib/cli/main.ts'
import { Collected, run, wordsOf, World, csv, placeFor } from './world.ts'

const none = async (): Promise<boolean> => false

t.test('a quoted word survives the shell, whatever it contains', async t => {
  const words = [
    'plain',
    '',
    "it's",
    '$HOME `x` "y"',
    'a\nb\tc',
    '\u0001é\u0085',
    '\\',
    "'\n'",
    '{{a}}',
  ]
  t.same(wordsOf(commandLine(words)).slice(1), words)
  for (const word of words) t.notMatch(quote(word), /[\u0000-\u001f]/, 'on one line')
})

t.test('durations and sizes are parsed with their units', async t => {
  const times = [
    ['50ms', 50],
    ['90s', 90_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['1.5s', 1500],
    ['30d', 2_592_000_000],
  ] as const
  for (const [text, ms] of times) t.equal(duration('--x', text), ms)
  const sizes = [
    ['64MB', 64e6],
    ['64MiB', 64 * 2 ** 20],
    ['7', 7],
    ['1kB', 1000],
    ['1KB', 1000],
    ['2GiB', 2 ** 31],
    ['3B', 3],
  ] as const
  for (const [text, bytes] of sizes) t.equal(size('--x', text, 1), bytes)
  for (const text of ['', 's', '5', '-1s', '1e3s', '1constructor', '1 s']) {
    t.throws(
      () => duration('--x', text),
      { code: 'CBS_OPTION', message: /^--x must be a time/ },
      text,
    )
  }
  t.throws(() => duration('--x', '25d', 1), /up to 24d/)
  t.same(countOrShare('--x', '7'), { count: 7 })
  t.same(countOrShare('--x', '2.5%'), { share: 0.025 })
})

t.test('no message moves the cursor or breaks a line', async t => {
  t.equal(printable(' a\n \n\r b\n'), 'a b')
  t.equal(
    printable('all \u202edetelед\u202c \u2066ok\u2069'),
    'all detelед ok',
    'no text runs backwards',
  )
  t.equal(printable('שלום\u200f!'), 'שלום\u200f!')
  t.equal(printable('a\u001b[31mb\r\nc \n d\u0000\u009be'), 'a[31mb c de')
})

t.test('a repeated reason to wait is shown once a minute, and always with -v', async t => {
  const stderr = new Collected()
  const talk = new Talk(stderr, false, 0)
  for (const at of [0, 1, 59_999, 60_000]) talk.wait(`at ${at}`, at)
  t.equal(stderr.text, 'at 0\nat 60000\n')
  const all = new Collected()
  const loud = new Talk(all, false, 1)
  for (const at of [0, 1]) loud.wait(`at ${at}`, at)
  t.equal(all.text, 'at 0\nat 1\n')
})

t.test('the help of a command lists every flag with its short name and default', async t => {
  for (const command of ['run', 'resume', 'status', 'emulate', 'prune'] as const) {
    const help = (await longHelp(command, 80)).replaceAll(/\n {4,}(?! *-)/g, ' ')
    for (const { name, short, negative, fallback } of optionsOf(command)) {
      t.match(help, `${negative ? '--no-' : '--'}${name} `, `${command} --${name}`)
      if (short) t.match(help, `-${short}, `)
      if (fallback) t.match(help, `[${fallback}]`)
    }
  }
})

t.test('no command has two flags of the same name', async t => {
  for (const command of ['run', 'resume', 'retry', 'results', 'list'] as const) {
    const names = optionsOf(command).map(({ name, negative }) => (negative ? `no-${name}` : name))
    t.same([...new Set(names)], names)
    const shorts = optionsOf(command).flatMap(({ short }) => short ?? [])
    t.same([...new Set(shorts)], shorts)
  }
  t.ok(OPTIONS.every(({ help }) => help !== ''))
})

t.test('a pattern expands to the files it matches, in order', async t => {
  const dir = t.testdir({
    'b.csv': '',
    'a.csv': '',
    '.c.csv': '',
    'x[1].csv': '',
    'a+b.csv': '',
    sub: { 'd.csv': '', deep: { 'e.csv': '' } },
  })
  t.same(await filesOf('?.csv', dir, none), ['a.csv', 'b.csv'])
  t.same(await filesOf('.*.csv', dir, none), ['.c.csv'])
  t.same(await filesOf('a*.csv', dir, none), ['a+b.csv', 'a.csv'])
  t.same(await filesOf('*/?.csv', dir, none), ['sub/d.csv'])
  t.same(await filesOf('s*/deep/*', dir, none), ['sub/deep/e.csv'])
  t.same(await filesOf(join(dir, '*', 'd.csv'), '/', none), [join(dir, 'sub/d.csv')])
  t.same(await filesOf('-', dir, none), ['-'])
  await t.rejects(filesOf('none.csv', dir, none), {
    code: 'CBS_INPUT',
    message: /^there is no input none\.csv in \//,
  })
  await t.rejects(filesOf(join(dir, 'none.csv'), '/', none), {
    code: 'CBS_INPUT',
    message: /^there is no input \/.*none\.csv$/,
  })
  await t.rejects(filesOf('a.csv/b', dir, none), {
    code: 'CBS_INPUT',
    message: /^the input a\.csv\/b cannot be read: ENOTDIR/,
  })
  await t.rejects(filesOf('*.txt', dir, none), {
    code: 'CBS_INPUT',
    message: 'there is no input *.txt',
  })
})

t.test('a pattern matches whole names, and a star any number of characters', async t => {
  const names = ['aXbXc', 'ab', 'abab.csv', '*', 'a.b.csv', 'line\nend', '.aa']
  const dir = t.testdir(Object.fromEntries(names.map(name => [name, ''])))
  for (const [pattern, found] of [
    ['a*b', ['ab']],
    ['a*b*', ['a.b.csv', 'aXbXc', 'ab', 'abab.csv']],
    ['*b.csv', ['a.b.csv', 'abab.csv']],
    ['*X*X?', ['aXbXc']],
    ['**', names.filter(name => name !== '.aa').toSorted()],
    ['?', ['*']],
    ['a?*?*c', ['aXbXc']],
    ['l*d', ['line\nend']],
    ['.?a', ['.aa']],
    ['.*', ['.aa']],
    ['a**b.*v', ['a.b.csv', 'abab.csv']],
  ] as const)
    t.same(await filesOf(pattern, dir, none), found, pattern)
  await t.rejects(filesOf('?a?', dir, none), { code: 'CBS_INPUT' }, 'a dot in front is named')
})

t.test('a pattern of many stars is matched quickly', async t => {
  const name = 'a'.repeat(200)
  const dir = t.testdir({ [name]: '', [`${name}b`]: '' })
  const began = performance.now()
  t.same(await filesOf(`${'*a'.repeat(25)}*b`, dir, none), [`${name}b`])
  t.ok(performance.now() - began < 2000)
})

t.test('an existing file whose name looks like a pattern is that file', async t => {
  const dir = t.testdir({})
  mkdirSync(join(dir, 'd'))
  writeFileSync(join(dir, 'd/really?.csv'), '')
  writeFileSync(join(dir, 'd/reallyX.csv'), '')
  t.same(await filesOf('d/really?.csv', dir, none), ['d/really?.csv'])
  t.same(await filesOf(join(dir, 'd/really?.csv'), '/', none), [join(dir, 'd/really?.csv')])
})

t.test('unexpected arguments are named in the error', async t => {
  for (const [words, says] of [
    [['list', 'x'], 'list takes no name, got x'],
    [['status', 'a', 'b'], 'status takes one name, got a b'],
    [['results'], 'results takes one name, got none'],
    [['a.csv', '-p', 'x'], '"a.csv" is not a command; to read a file: -i a.csv'],
    [['-p', 'x', 'a.csv'], '"a.csv" is neither a flag nor a command; to read a file: -i a.csv'],
    [['list', '--remot'], "unknown option '--remot' (did you mean --remote?)"],
    [['--promtp', 'x'], "unknown option '--promtp' (did you mean --prompt?)"],
    [['-p', 'x', '-c'], 'argument missing'],
    [['help', 'lits'], '"lits" is not a command (did you mean "list"?)'],
  ] as const) {
    const ran = await run(words)
    t.equal(ran.code, 2, words.join(' '))
    t.match(ran.err, says)
  }
})

t.test('flags may come before the command', async t => {
  const place = await placeFor(t)
  await place.run(['-p', 'Say {{text}}', '--job', 'j'], { stdin: csv(1) })
  for (const before of [
    ['--state-dir', place.state],
    [`--state-dir=${place.state}`, '-q'],
    ['-vq', '--state-dir', place.state, '--log-format', 'text'],
  ]) {
    const ran = await run([...before, 'status', 'j', '--json'])
    t.equal(ran.code, 0, ran.err)
    t.match(JSON.parse(ran.out), { job: 'j' })
  }
  t.match((await run(['--color', 'never', '--help', 'status'])).out, /^claude-batch-stream status/)
  const commands = ['status', 'estimate']
  for (const [words, first] of [
    ['-i a.csv estimate', '-i'],
    ['-i a.csv -p x estimate', 'estimate'],
    ['-i=a.csv estimate', 'estimate'],
    ['-qp estimate', '-qp'],
    ['-px status', 'status'],
    ['--cache -p status', '--cache'],
    ['--cache prime status', 'status'],
    ['-p x -- status', '-p'],
    ['-p x', '-p'],
    ['--no-input status', 'status'],
  ] as const)
    t.equal(commandFirst(words.split(' '), commands)[0], first, words)
})

t.test(
  'the error for a file that is not JSON names the file and does not show its content',
  async t => {
    const long = `id,review\n${'1,secret words\n'.repeat(1000)}`
    const place = await placeFor(t, {}, { 'data.csv': long })
    for (const flag of ['--schema', '--params']) {
      const ran = await place.run(['-p', 'x', flag, place.path('data.csv')], { stdin: csv(1) })
      t.equal(ran.code, 2)
      t.match(ran.err, `${flag} ${place.path('data.csv')} is not JSON: `)
      t.ok(ran.err.length < 500, ran.err)
    }
    const inline = await place.run(['-p', 'x', '--param', `stop=${long}`], { stdin: csv(1) })
    t.match(inline.err, /--param stop must be JSON .* got id,review 1,secret/)
    t.ok(inline.err.length < 500)
  },
)

t.test('-v can be set by the environment', async t => {
  const env = { CLAUDE_BATCH_STREAM_VERBOSE: '1' }
  const words = ['-n', '-p', 'Say {{text}}']
  t.match((await run(words, { stdin: 'text\na\n', env })).err, 'single column')
  t.notMatch((await run(words, { stdin: 'text\na\n' })).err, 'single column')
})

t.test('a misspelt variable is an error, and those of other programs are not', async t => {
  const words = ['-n', '-p', 'Say {{text}}']
  for (const [name, meant] of [
    ['MAXCOST', 'MAX_COST'],
    ['MAX_COSTS', 'MAX_COST'],
    ['NOTIFYSECRET', 'NOTIFY_SECRET'],
  ]) {
    const env = { [`CLAUDE_BATCH_STREAM_${name}`]: '5' }
    const ran = await run(words, { stdin: 'text\na\n', env })
    t.match(ran, { code: 2, err: `rename it to CLAUDE_BATCH_STREAM_${meant}, or remove it` })
  }
  const env = {
    CLAUDE_BATCH_STREAM_SERVICE_HOST: '10.0.0.1',
    CLAUDE_BATCH_STREAM_NOTIFY_SECRET: 'x',
  }
  t.equal((await run(words, { stdin: 'text\na\n', env })).code, 0)
})

t.test('there is help for the program, each command and the prices', async t => {
  for (const [words, says] of [
    [['help'], 'Flags of run'],
    [['help', 'cancel'], '--yes'],
    [['cancel', '--help'], '--yes'],
    [['help', 'prices'], 'claude-haiku-5-5'],
  ] as const)
    t.match(await run(words), { code: 0, err: '', out: says }, words.join(' '))
})

for (const thrown of [new Error('boom'), 'boom'])
  t.test(`an unexpected error is reported as a bug (${typeof thrown})`, async t => {
    const world = new World()
    const get = (_: unknown, name: string): undefined => {
      if (name === 'CLAUDE_BATCH_STREAM_MODEL') throw thrown
      return undefined
    }
    const env = new Proxy({}, { get })
    const broken = Object.assign(world, { env })
    t.equal(await main(['-p', 'x', '-vv'], broken), 1)
    t.match(world.stderr.text, 'claude-batch-stream: boom (this is a bug: please report it)\n')
    t.equal(/flags.test.ts:\d+/.test(world.stderr.text), thrown instanceof Error, 'with its place')
  })
