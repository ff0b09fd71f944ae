import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import t from 'tap'
import { parseFlags, type Flags } from '../../lib/cli/flags.ts'
import { csv, placeFor, run } from './world.ts'

const FILES = {
  home: {
    'claude-batch-stream': {
      'config.json': JSON.stringify({
        model: 'of-user',
        'max-tokens': 7,
        'no-preflight': true,
        poll: '9s',
      }),
    },
  },
  'run.json': JSON.stringify({
    ...{ model: 'of-file', 'no-preflight': false, var: ['a=1', 'b=2'], verbose: 2 },
    ...{ attach: 'one', cache: true, watch: true },
  }),
}

t.test(
  "a flag beats the environment, which beats --config, which beats the user's config",
  async t => {
    const dir = t.testdir(FILES)
    const flagsOf = (words: readonly string[], env: Record<string, string> = {}): Flags =>
      parseFlags('run', 'nothing', words, { XDG_CONFIG_HOME: join(dir, 'home'), ...env })
    const file = ['--config', join(dir, 'run.json')]
    const model = { CLAUDE_BATCH_STREAM_MODEL: 'of-env' }
    t.equal(flagsOf([]).text('model'), 'of-user')
    t.equal(flagsOf(file).text('model'), 'of-file')
    t.equal(flagsOf(file, model).text('model'), 'of-env')
    t.equal(flagsOf([...file, '-m', 'of-flag'], model).text('model'), 'of-flag')
    t.equal(flagsOf([], { CLAUDE_BATCH_STREAM_CONFIG: file[1] ?? '' }).text('model'), 'of-file')

    const flags = flagsOf(file)
    t.equal(flags.text('max-tokens'), '7')
    t.same([flags.has('no-preflight'), flagsOf([]).has('no-preflight')], [false, true])
    t.same([flags.texts('var'), flags.texts('attach')], [['a=1', 'b=2'], ['one']])
    t.same([flags.count('verbose'), flags.has('cache')], [2, true])
    t.equal(flagsOf([], { XDG_CONFIG_HOME: '', HOME: dir }).text('model'), undefined)
    const here = relative(process.cwd(), join(dir, 'home'))
    t.equal(flagsOf([], { XDG_CONFIG_HOME: here }).text('model'), undefined, 'a relative one')

    await t.test('of two conflicting flags the nearer source wins', async t => {
      const asked = join(dir, 'asked.json')
      writeFileSync(asked, '{"prompt":"of-file","system-file":"of-file"}')
      const prompts = (words: readonly string[], env: Record<string, string> = {}) => {
        const flags = flagsOf([...words, '--config', asked], env)
        return ['prompt', 'prompt-file', 'template', 'system', 'system-file'].map(name =>
          flags.text(name),
        )
      }
      const none = undefined
      t.same(prompts([]), ['of-file', none, none, none, 'of-file'])
      t.same(prompts(['-f', 'p.txt']), [none, 'p.txt', none, none, 'of-file'])
      t.same(prompts(['--template', 'p.mjs']), [none, none, 'p.mjs', none, 'of-file'])
      t.same(prompts(['-s', 'x'], { CLAUDE_BATCH_STREAM_PROMPT_FILE: 'p.txt' }), [
        ...[none, 'p.txt', none, 'x', none],
      ])
      t.same(prompts(['-p', 'x', '-f', 'p.txt']).slice(0, 2), ['x', 'p.txt'], 'an error later')
      t.notMatch(flagsOf(['-f', 'p.txt', '--config', asked]).origins().join(), '--prompt is from')
    })

    await t.test('-v shows the source of each value', async t => {
      t.same(
        flagsOf(['-t', '9', ...file], model)
          .origins()
          .sort(),
        [
          `--attach is from ${file[1]}`,
          `--cache is from ${file[1]}`,
          '--config is from the command line',
          '--max-tokens is from the command line',
          '--model is from CLAUDE_BATCH_STREAM_MODEL',
          `--no-preflight is from ${file[1]}`,
          `--poll is from ${join(dir, 'home/claude-batch-stream/config.json')}`,
          `--var is from ${file[1]}`,
          `--verbose is from ${file[1]}`,
          'every other flag has its default',
        ],
      )
      const { said } = await run(['-v', '--emulate', '-p', 'x', '--batch-time', '5ms'], {
        stdin: csv(1),
      })
      t.ok(said.includes('--prompt is from the command line'))
    })
  },
)

t.test('a job that was started with --config resumes with its settings', async t => {
  const place = await placeFor(t, {}, { 'c.json': '{"prompt":"Say {{text}}","to":"text"}' })
  const ran = await place.run(['--config', place.path('c.json'), '--detach'], { stdin: csv(1) })
  t.match(ran.said.at(-1), `--config ${place.path('c.json')}`)
  t.match((await place.again(ran)).out, /^echo \w+: Say text 0\n$/)
})

t.test('an invalid config file is reported with its fault, and nothing starts', async t => {
  const dir = t.testdir({})
  const path = join(dir, 'c.json')
  for (const [text, code, why] of [
    ['{"modle":"x"}', 2, 'there is no flag "modle" (did you mean "model"?)'],
    ['{"config":"x"}', 2, 'there is no flag "config"'],
    ['[]', 2, 'must hold a JSON object of flags'],
    ['null', 2, 'must hold a JSON object of flags'],
    ['{', 2, 'must be JSON'],
    ['{"model":true}', 2, 'model must be a text or a number'],
    ['{"var":[1]}', 2, 'var must be a text or several'],
    ['{"fresh":"yes"}', 2, 'fresh must be true or false'],
  ] as const) {
    writeFileSync(path, text)
    const ran = await run(['--config', path, '--emulate', '-p', 'x'], { stdin: csv(1) })
    t.equal(ran.code, code, text)
    t.match(ran.err, why)
  }
  t.match(await run(['--config', join(dir, 'none'), '-p', 'x']), {
    code: 6,
    err: /--config .*none cannot be read/,
  })
  mkdirSync(join(dir, 'claude-batch-stream/config.json'), { recursive: true })
  const env = { XDG_CONFIG_HOME: dir }
  t.match(await run(['list'], { env }), { code: 6, err: /config.json cannot be read/ })
  t.equal((await run(['list', '--state-dir', dir], { env: { HOME: path } })).code, 0)
})
