// Help, man page, completions and README are made from one table: here is what would show that they are not.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { EXIT, EXIT_MEANING } from '../../lib/cli/exit-code.ts'
import { COMMANDS } from '../../lib/cli/help.ts'
import { PRICES } from '../../lib/cost/prices.ts'
import { OPTIONS, type OptionSpec } from '../../lib/cli/options.ts'
import { TOPICS } from '../../lib/cli/topics.ts'
import { flagVariables, VARIABLES } from '../../lib/cli/variables.ts'
import { Collected, run } from './world.ts'

const root = join(import.meta.dirname, '../..')
const said = async (...words: string[]): Promise<string> => {
  const { code, out, err } = await run(words)
  t.equal(code, 0, err)
  return out
}
const longOf = ({ name, negative }: OptionSpec): string => `--${negative ? 'no-' : ''}${name}`

/** Says why a test cannot be made here, where the program that it needs is missing. */
function has(t: Test, program: string): boolean {
  if (spawnSync(program, ['--version']).error === undefined) return true
  t.comment(`skipped: there is no ${program} on this machine`)
  return false
}

t.test('-h is one screen', async t => {
  for (const words of [['-h'], ['help']]) {
    const lines = (await said(...words)).trimEnd().split('\n')
    t.ok(lines.length <= 23, `${lines.length} lines`)
    for (const line of lines) t.ok(line.length <= 80, line)
    for (const command of Object.keys(COMMANDS)) t.match(lines.join('\n'), command)
    for (const topic of Object.keys(TOPICS)) t.match(lines.join('\n'), topic)
  }
})

t.test('every topic has a page, and names only existing flags', async t => {
  for (const topic of [
    'formats',
    'templates',
    'environment',
    'exit-codes',
    'resume',
    'cost',
    'prices',
  ]) {
    const text = await said('help', topic)
    const flags = OPTIONS.map(longOf)
    for (const [flag] of text.matchAll(/(?<=[\s(])--[a-z][a-z-]+/g))
      t.ok(flags.includes(flag), flag)
    if (topic !== 'prices') for (const line of text.split('\n')) t.ok(line.length <= 80, line)
  }
  t.match(
    await said('help', 'resume'),
    /^Resume[^]*\nclaude-batch-stream resume \[JOB\][^]*--poll DUR/,
  )
  t.match((await run(['help', 'format'])).err, 'did you mean "formats"?')
  t.match((await run(['completon'])).err, 'did you mean "completion"?')
})

t.test('help wraps lines between words at the width of the screen', async t => {
  const flags = OPTIONS.filter(({ on }) => on.includes('run'))
  for (const [columns, most] of [
    [80, 80],
    [90, 90],
    [250, 100],
  ] as const) {
    const stdout = Object.assign(new Collected(), { isTTY: true, columns })
    t.equal((await run(['--help'], { stdout })).code, 0)
    const lines = stdout.text.split('\n')
    const longest = Math.max(...lines.map(line => line.length))
    t.ok(longest <= most && longest > most - 10, `${longest} of ${columns} columns`)
    const words = new Set(stdout.text.split(/\s+/))
    for (const { help } of flags)
      for (const word of help.split(' '))
        t.ok(
          [...words].some(one => one.endsWith(word)),
          word,
        )
  }
  t.match(await said('help', 'estimate'), /^All other flags of run are accepted/m)
  t.match(await said('help', 'environment'), /^ {2}CLAUDE_BATCH_STREAM_NOTIFY_SECRET {2}signs /m)
})

t.test('every environment variable is documented', async t => {
  const page = await said('help', 'environment')
  const known = VARIABLES.flatMap(({ names }) => names.split(', '))
  for (const name of readdirSync(join(root, 'lib/cli'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const text = readFileSync(join(root, 'lib/cli', name), 'utf8')
    for (const [, variable = ''] of text.matchAll(/env\['(\w+)'\]/g))
      t.ok(known.includes(variable) || flagVariables().includes(variable), `${name}: ${variable}`)
  }
  for (const name of [...known, ...flagVariables()]) t.match(page, name)
})

t.test('every exit code is documented, with the same text as in the README', async t => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const page = await said('help', 'exit-codes')
  const all = Object.keys(EXIT_MEANING).flatMap(codes => codes.split(', '))
  t.same(all.sort(), Object.values(EXIT).map(String).sort())
  for (const [codes, meaning] of Object.entries(EXIT_MEANING)) {
    t.match(readme, `| ${codes} | ${meaning} |`)
    t.match(page.replaceAll(/\s+/g, ' '), meaning.replaceAll('`', ''))
  }
})

t.test('the man page contains every command, flag, variable and exit code', async t => {
  const page = await said('help', 'man')
  const plain = page.replaceAll('\\-', '-')
  for (const command of Object.keys(COMMANDS)) t.match(plain, command)
  for (const spec of OPTIONS) t.match(plain, `\\fB${longOf(spec)}\\fR`)
  for (const { names } of VARIABLES) t.match(plain, names)
  for (const code of Object.keys(EXIT_MEANING)) t.match(plain, `.TP\n${code}\n`)
  if (has(t, 'groff')) {
    const made = spawnSync('groff', ['-man', '-ww', '-Tutf8'], { input: page, encoding: 'utf8' })
    t.same([made.status, made.stderr], [0, ''])
    t.match(made.stdout, "records through Claude's Message Batches API")
  }
})

t.test('the choices that the help lists are those that the program accepts', async t => {
  for (const { name, choices, on } of OPTIONS) {
    if (!choices) continue
    const command = on[0] ?? 'run'
    const names = { one: ['j'], two: ['j', 'k'] }[
      COMMANDS[command].words.split(' ').length === 3 ? 'two' : 'one'
    ]
    const words = command === 'run' ? ['--emulate', '-p', 'x'] : [command, ...names]
    const { err } = await run([...words, `--${name}`, 'no-such'])
    t.match(err, `--${name} must be one of`)
    for (const choice of choices) t.match(err, choice)
  }
})

t.test('help and completion have no flags, and the first screen explains them', async t => {
  const screen = await said('help')
  t.match(screen, /completion SHELL/)
  for (const words of [
    ['help', 'help'],
    ['help', 'completion'],
    ['help', '-h'],
    ['help', '--help'],
  ])
    t.equal(await said(...words), screen, words.join(' '))
  for (const flag of ['-h', '--help']) t.equal(await said('completion', flag), screen)
})

t.test('completions', async t => {
  const place = t.testdir({})
  const script = async (shell: string): Promise<string> => {
    const path = join(place, shell)
    writeFileSync(path, await said('completion', shell))
    return path
  }
  t.match(await run(['completion', 'fihs']), {
    code: 2,
    err: /one of bash, zsh, fish.*did you mean "fish"/,
  })
  t.match(await run(['completion']), { code: 2, err: /got none/ })

  await t.test('each script has every flag', async t => {
    for (const [shell, word] of [
      ['bash', longOf],
      ['zsh', longOf],
      ['fish', (spec: OptionSpec) => longOf(spec).replace('--', '-l ')],
    ] as const) {
      const text = readFileSync(await script(shell), 'utf8')
      for (const spec of OPTIONS) t.ok(text.includes(word(spec)), `${shell}: ${spec.name}`)
    }
  })
  await t.test('each script offers values', async t => {
    const models = Object.keys(PRICES).join(' ')
    const offers = {
      bash: `-m|--model) COMPREPLY=($(compgen -W '${models}'`,
      zsh: `'(-m --model)'{-m+,--model=}'[model id]:ID:(${models})'`,
      fish: `-s m -l model -x -a '${models}'`,
    }
    for (const [shell, text] of Object.entries(offers))
      t.ok(readFileSync(await script(shell), 'utf8').includes(text), shell)
    const zsh = readFileSync(await script('zsh'), 'utf8')
    for (const { name, choices } of OPTIONS)
      if (choices) t.match(zsh, new RegExp(`--${name}=.*\\(${choices.join(' ')}\\)`))
  })
  await t.test('bash', async t => {
    const path = await script('bash')
    const complete = (...words: string[]): string[] => {
      const line = `claude-batch-stream() { printf 'nightly  unfinished\\nother  finished\\n'; }
        . "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _claude_batch_stream; printf '%s\\n' "\${COMPREPLY[@]}"`
      const { stdout, stderr } = spawnSync('bash', [
        '--norc',
        '-c',
        line,
        path,
        'claude-batch-stream',
        ...words,
      ])
      t.equal(String(stderr), '')
      return String(stdout).trim().split('\n')
    }
    if (!has(t, 'bash')) return
    t.same(complete('re'), ['resume', 'report', 'results', 'retry'])
    t.same(complete('--max-i'), ['--max-invalid'])
    t.same(complete('status', '--wat'), ['--watch'])
    t.same(complete('resume', '--prom'), [''])
    t.same(complete('resume', 'n'), ['nightly'])
    t.same(complete('--to', 't'), ['tsv', 'text'])
    t.same(complete('help', 'for'), ['formats'])
    t.same(complete('completion', 'f'), ['fish'])
    t.same(complete('--prompt', 'x'), [''])
    t.same(complete('--order', '='), ['completion', 'input'], '--order=')
    t.same(complete('--order', '=', 'in'), ['input'], '--order=in')
    t.same(complete('-m', 'claude-haiku-5'), ['claude-haiku-5-5'])
    t.same(complete('--model', '=', 'claude-haiku-5'), ['claude-haiku-5-5'])
    t.same(complete('estimate', '--model', 'x'), [''], "a model that is not listed is the user's")
    t.same(complete('--concurrency', ''), ['auto'])
    t.same(complete('--cache', ''), ['prime'])
    t.same(complete('--reuse', ''), ['auto', 'nightly', 'other'])
    t.same(complete('--cache', '--max-i'), ['--max-invalid'])
    t.same(complete('--color', '=', 'n'), ['never'])
    t.same(complete('resume', '--progress', 'p'), ['plain'])
    t.same(complete('retry', '--to', '=', 'c'), ['csv'])
  })
  await t.test('zsh', async t => {
    const path = await script('zsh')
    if (!has(t, 'zsh')) return
    const { stderr } = spawnSync('zsh', ['-fn', path])
    t.equal(String(stderr), '')
    const words = (line: string): string[] => {
      // A function that is called by the name of _arguments shows what it would be told.
      const told = `compdef() { :; }; _arguments() { print -rl -- "$@"; }; . "$1"; words=(claude-batch-stream ${line} ''); CURRENT=\${#words}; _claude_batch_stream`
      const { stdout, stderr } = spawnSync('zsh', ['-fc', told, 'zsh', path])
      t.equal(String(stderr), '')
      return String(stdout).trim().split('\n')
    }
    t.ok(words('status').some(spec => spec.startsWith('--watch[')))
    t.notOk(words('status').some(spec => spec.includes('--prompt')))
    t.ok(words('-p x').some(spec => spec.includes('--prompt')))
    t.ok(
      words('-p x').some(spec => /^--reuse=.*compadd auto; _claude_batch_stream_jobs/.test(spec)),
    )
    t.ok(words('resume').some(spec => /^--order=.*\(completion input\)$/.test(spec)))
  })
  await t.test('fish', async t => {
    const path = await script('fish')
    if (!has(t, 'fish')) return
    const complete = (line: string): string[] => {
      const told = `function claude-batch-stream; echo 'nightly  unfinished'; end; source $argv[1]; complete -C $argv[2]`
      const { stdout, stderr } = spawnSync(
        'fish',
        ['--no-config', '-c', told, path, `claude-batch-stream ${line}`],
        {
          env: { ...process.env, HOME: place },
        },
      )
      t.equal(String(stderr), '')
      return String(stdout)
        .trim()
        .split('\n')
        .map(found => found.split('\t')[0] ?? '')
    }
    t.same(complete('re').sort(), ['report', 'results', 'resume', 'retry'])
    t.same(complete('--max-i'), ['--max-invalid'])
    t.same(complete('status --wat'), ['--watch'])
    t.same(complete('resume --prompt'), [''])
    t.same(complete('resume n'), ['nightly'])
    t.same(complete('--to t').sort(), ['text', 'tsv'])
    t.same(complete('--order=').sort(), ['--order=completion', '--order=input'])
    t.same(complete('-m claude-haiku-5'), ['claude-haiku-5-5'])
    t.same(complete('--reuse ').sort(), ['auto', 'nightly'])
    t.same(complete('help for'), ['formats'])
  })
})
