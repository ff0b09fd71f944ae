// What a stranger runs first: the demo, every example, and every code block of the documents.
import { execFile, type ExecFileOptions } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { createEmulator, echo } from '../lib/emulator/index.ts'
import { recipeFor, type Recipe } from './support/recipes.ts'

const root = join(import.meta.dirname, '..')
const program = join(root, 'dist/bin/claude-batch-stream.js')
const DOCUMENTS = [
  'README.md',
  ...readdirSync(join(root, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
]

/** What a program may take at most, on the slowest machine. */
const LONGEST_MS = 120_000

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

function run(command: string, words: readonly string[], options: ExecFileOptions): Promise<Ran> {
  return new Promise(resolve => {
    // Without it every program would be loaded with the test runner's own loaders, which cost a second each.
    const child = execFile(
      'env',
      ['-u', 'NODE_OPTIONS', command, ...words],
      { ...options, maxBuffer: 2 ** 26, encoding: 'utf8', timeout: LONGEST_MS },
      (error, out, err) => {
        const hung = error?.killed ? `\nit did not end within ${LONGEST_MS / 1000} s` : ''
        resolve({ code: error ? Number(error.code ?? 1) : 0, out: String(out), err: err + hung })
      },
    )
    child.stdin?.end()
  })
}

/** The environment of a user who has nothing set. */
function clean(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && !/^(ANTHROPIC|CLAUDE|NODE_|TAP)/.test(name)) env[name] = value
  return { ...env, ...more }
}

/** JavaScript of TypeScript, for Node versions that do not run it themselves. */
function transpiled(code: string): string {
  const compilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    rewriteRelativeImportExtensions: true,
  }
  return ts.transpileModule(code, { compilerOptions }).outputText
}

/** The examples as JavaScript, in a folder from which the package's own name resolves. */
let compiled = ''

function example(name: string, words: readonly string[] = [], env = {}): Promise<Ran> {
  if (name.endsWith('.sh'))
    return run('sh', [join(root, 'examples', name), ...words], { env: clean(env) })
  const file = name.endsWith('.ts')
    ? join(compiled, name.replace(/ts$/, 'js'))
    : join(root, 'examples', name)
  return run(process.execPath, [file, ...words], { env: clean(env) })
}

function rowsOf(text: string): Record<string, string>[] {
  return text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
}

t.before(() => {
  if (!existsSync(program)) throw new Error('the examples run what is built: `npm run build` first')
  compiled = t.testdir()
  cpSync(join(root, 'examples'), compiled, { recursive: true })
  for (const name of readdirSync(compiled).filter(one => one.endsWith('.ts')))
    writeFileSync(
      join(compiled, name.replace(/ts$/, 'js')),
      transpiled(readFileSync(join(compiled, name), 'utf8')),
    )
})

void t.test('the build can be linked, and keeps its executable bit when it is built again', t => {
  const { bin, man } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  accessSync(join(root, bin['claude-batch-stream']), constants.X_OK)
  // npm 11 installs a man page only from a list.
  t.ok(Array.isArray(man) && existsSync(join(root, man[0])))
  t.end()
})

void t.test('the demo shows rows, and nothing is paid twice', async t => {
  const { code, out, err } = await example('demo.mjs')
  t.equal(code, 0, err)
  t.match(out, /^✓ 1860 James Buchanan/m)
  t.match(out, /^233 rows from 3 batches in .* s; one row per decade is shown\.$/m)
  t.match(out, /^The API billed 233 requests, none of them twice\.$/m)
})

void t.test('1: a pipe prints one line for each record', async t => {
  const { code, out, err } = await example('1-pipe.sh')
  t.equal(code, 0, err)
  const asked = out.trimEnd().split('\n')
  t.equal(asked.length, 5)
  t.match(asked[0], /^echo [0-9a-f]{12}: The mood of George Washington in 1790/)
})

void t.test('2: CSV becomes JSONL, each row with the answer to its own question', async t => {
  const { code, out, err } = await example('2-csv-to-jsonl.ts')
  t.equal(code, 0, err)
  const rows = rowsOf(out)
  t.equal(rows.length, 233)
  for (const { president, year, opening, response } of rows)
    t.equal(response, echo(`What worries ${president} in ${year}? ${opening}`))
})

void t.test('3: user-defined stages drop records and sum up answers', async t => {
  const { code, out, err } = await example('3-own-stages.ts')
  t.equal(code, 0, err)
  t.match(out, /^Republican: \d+ answers, \d+ characters each$/m)
  const answers = [...out.matchAll(/: (\d+) answers/g)].map(([, count]) => Number(count))
  t.equal(
    answers.reduce((sum, count) => sum + count),
    123,
  )
})

void t.test('4: successes and failures add up to the input', async t => {
  const file = join(t.testdir({}), 'failures.jsonl')
  const { code, out, err } = await example('4-failures-apart.ts', [file])
  t.equal(code, 0, err)
  const [good, bad] = [rowsOf(out), rowsOf(readFileSync(file, 'utf8'))]
  t.equal(good.length + bad.length, 233)
  t.ok(good.some(row => row['president'] === 'Ulysses S Grant'))
  t.same(new Set(bad.map(row => row['president'])), new Set(['Abraham Lincoln', 'Richard Nixon']))
})

void t.test('5 and 6: what one process submits, another fetches, repeatedly', async t => {
  const emulator = await createEmulator({ batchTimeMs: 300 })
  t.teardown(() => emulator.close())
  const env = { ANTHROPIC_BASE_URL: emulator.url, JOBS: t.testdir({}) }
  const today = await example('5-submit-today.ts', [], env)
  t.equal(today.code, 0, today.err)
  t.match(today.out, /^batch 3: 33 requests submitted as msgbatch_/m)
  const tomorrow = await example('6-fetch-tomorrow.ts', [], env)
  t.equal(tomorrow.code, 0, tomorrow.err)
  t.equal(rowsOf(tomorrow.out).length, 233)
  const again = await example('6-fetch-tomorrow.ts', [], env)
  t.equal(again.out, tomorrow.out)
  t.match(await emulator.ledger.totals(), { batches: 3, billed: 233, billedTwice: 0 })
})

void t.test('the two examples that need a running emulator say so', async t => {
  for (const name of ['5-submit-today.ts', '6-fetch-tomorrow.ts']) {
    const { code, err } = await example(name)
    t.equal(code, 1)
    t.match(err, /set ANTHROPIC_BASE_URL/)
  }
})

void t.test('7: a database cursor is read and each answer is stored', async t => {
  const { code, out, err } = await example('7-database.ts')
  t.equal(code, 0, err)
  t.match(out, /^at most \$0\.\d+$/m)
  t.match(out, /^500 reviews stored, 166 of them bad, for \$0\.\d+$/m)
})

void t.test('8: answers have the type of a zod schema, and a violation is explained', async t => {
  const { code, out, err } = await example('8-typed-extraction.ts')
  t.equal(code, 0, err)
  t.match(
    out,
    /^a@example.com 17 120.5 2026\nb@example.com 18 80 2026\nc@example.com invalid .*schema/,
  )
})

void t.test('9: a user interface is drawn from events', async t => {
  const { code, out, err } = await example('9-progress.ts')
  t.equal(code, 0, err)
  t.match(out, /^batches 4 sealed, 4 submitted, 4 ended; 40 rows$/m)
  t.match(out, /^40 answers for \$0\.\d+$/m)
})

void t.test('10: a unit test on the emulator passes, with faults', async t => {
  const { code, out, err } = await example('10-unit-test.ts')
  t.equal(code, 0, out + err)
})

interface Block {
  readonly language: string
  /** The file that it is, for the blocks behind it. */
  readonly file: string | undefined
  readonly code: string
}

function blocksOf(document: string): Block[] {
  const text = readFileSync(join(root, document), 'utf8')
  return [...text.matchAll(/^```(\w+)(?: file=(\S+))?\n([^]*?)^```$/gm)].map(
    ([, language = '', file, code = '']) => ({ language, file, code }),
  )
}

/** A copy of examples/data, where the documents run, and a program called claude-batch-stream. */
function folderFor(t: Test, blocks: readonly Block[]): string {
  const named = blocks.flatMap(({ file, code }) => (file === undefined ? [] : [[file, code]]))
  const shim = `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`
  const dir = t.testdir({
    bin: { 'claude-batch-stream': shim },
    ...Object.fromEntries(named),
  })
  chmodSync(join(dir, 'bin/claude-batch-stream'), 0o755)
  cpSync(join(root, 'examples/data'), dir, { recursive: true })
  return dir
}

async function runBlock(
  t: Test,
  block: Block,
  blocks: readonly Block[],
  recipe?: Recipe,
): Promise<string> {
  const emulator = await createEmulator({ batchTimeMs: 50 })
  t.teardown(() => emulator.close())
  const dir = folderFor(t, blocks)
  const file = join(dir, block.language === 'sh' ? 'block.sh' : 'block.mjs')
  writeFileSync(file, block.language === 'ts' ? transpiled(block.code) : block.code)
  const env = clean({
    PATH: `${join(dir, 'bin')}:${process.env['PATH']}`,
    ANTHROPIC_BASE_URL: emulator.url,
    ANTHROPIC_API_KEY: 'any',
    CLAUDE_BATCH_STREAM_POLL: '50ms',
    CLAUDE_BATCH_STREAM_BATCH_TIME: '50ms',
    CLAUDE_BATCH_STREAM_STATE_DIR: join(dir, 'jobs'),
    ...(await recipe?.prepare(t, dir)),
  })
  const [command, ...words] =
    block.language === 'sh' ? ['sh', '-eu', file] : [process.execPath, file]
  const ran = await run(command, words, { cwd: dir, env })
  t.equal(ran.code, 0, `${block.code}\n${ran.err}`)
  return dir
}

void t.test('every TypeScript block of the documents compiles under the strictest options', t => {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), path => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const blocks = DOCUMENTS.flatMap(document =>
    blocksOf(document).filter(({ language }) => language === 'ts'),
  )
  const dir = t.testdir(Object.fromEntries(blocks.map(({ code }, at) => [`block${at}.ts`, code])))
  const files = blocks.map((_, at) => join(dir, `block${at}.ts`))
  const program = ts.createProgram(files, options)
  for (const file of files)
    t.same(
      ts
        .getPreEmitDiagnostics(program, program.getSourceFile(file))
        .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
      [],
      readFileSync(file, 'utf8'),
    )
  t.end()
})

void t.test('every code block of the documents runs', { jobs: 4 }, async t => {
  for (const document of DOCUMENTS) {
    const blocks = blocksOf(document)
    // The page of terms is a table.
    t.ok(blocks.length > 0 || document === 'docs/terms.md', `${document} has code`)
    for (const [at, block] of blocks.entries()) {
      const isRun = ['js', 'ts', 'sh'].includes(block.language) && !block.file
      if (!isRun || block.code.startsWith('npm ')) continue
      const recipe = document === 'docs/recipes.md' ? recipeFor(block.code) : undefined
      void t.test(`${document}, block ${at + 1}`, { skip: recipe?.skip ?? false }, async t => {
        const dir = await runBlock(t, block, blocks, recipe)
        await recipe?.check(t, dir)
        if (block.code.includes('summaries.jsonl')) {
          const rows = rowsOf(readFileSync(join(dir, 'summaries.jsonl'), 'utf8'))
          t.same(rows.map(row => row['ext']).sort(), ['pdf', 'png', 'txt'])
        }
        if (!block.code.includes('out.jsonl')) return
        const rows = rowsOf(readFileSync(join(dir, 'out.jsonl'), 'utf8'))
        t.same(
          rows.map(row => row['response']),
          rows.map(row => echo(`Sentiment of: ${row['review']}`)),
        )
        t.same(
          rows.map(row => row['id']),
          ['1', '2', '3', '4', '5', '6'],
        )
      })
    }
  }
})

void t.test(
  'R05: the cron lines of the documents fetch a job, also after failed starts',
  async t => {
    const emulator = await createEmulator({ batchTimeMs: 50 })
    t.teardown(() => emulator.close())
    const [crontab] = blocksOf('docs/operations.md').filter(
      ({ language }) => language === 'crontab',
    )
    const lines = crontab?.code.split('\n') ?? []
    const commandOf = (schedule: string): string =>
      (lines.find(line => line.startsWith(schedule)) ?? '')
        .slice(schedule.length)
        .trim()
        .replaceAll('\\%', '%')
    const [submit, fetch] = [commandOf('0 1 * * * '), commandOf('*/15 * * * * ')]
    const dir = folderFor(t, [])
    for (const [name, text] of [
      ['.key', 'any'],
      ['in.csv', 'id,review\n1,Broke after a day\n2,Great\n3,Late\n'],
      ['prompt.txt', 'Sentiment of: {{review}}'],
    ] as const)
      writeFileSync(join(dir, name), text)
    const env = clean({
      PATH: `${join(dir, 'bin')}:${process.env['PATH']}`,
      HOME: dir,
      XDG_STATE_HOME: '',
      ANTHROPIC_BASE_URL: emulator.url,
      CLAUDE_BATCH_STREAM_POLL: '50ms',
    })
    const cron = (command: string): Promise<Ran> => run('sh', ['-c', command], { cwd: dir, env })
    const noFolder = await cron(submit)
    t.match(noFolder, { code: 6, err: /out is not a folder/ }, 'the folder ~/out is missing')
    const noModel = await cron(submit.replace(/-o .*jsonl/, '-m haiku'))
    t.match(noModel, { code: 2, err: /the model haiku is unknown/ })
    mkdirSync(join(dir, 'out'))
    t.match(await cron(submit), { code: 0, out: '', err: '' })
    const another = submit.replace('--job n-', '--job o-').replace('~/out/', '~/out/o-')
    t.match(await cron(another), { code: 0, out: '', err: '' })
    t.match(await cron(fetch), { code: 0, out: '', err: '' }, 'both are unfinished')
    const files = readdirSync(join(dir, 'out'))
    t.equal(files.length, 2)
    for (const file of files)
      t.same(
        rowsOf(readFileSync(join(dir, 'out', file), 'utf8')).map(row => row['id']),
        ['1', '2', '3'],
      )
    t.match(await cron(fetch), { code: 0, out: '', err: '' }, 'nothing is unfinished')
  },
)

void t.test('the emulator accepts the faults in the documents', async t => {
  const [block] = blocksOf('docs/emulator.md').filter(({ file }) => file === 'faults.json')
  const emulator = await createEmulator({ port: null, faults: JSON.parse(block?.code ?? '') })
  await t.resolves(emulator.close())
})
