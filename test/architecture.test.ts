// The rules of the house that a program can check.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { FLAG_OF, inFlags } from '../lib/cli/in-flags.ts'
import { OPTIONS } from '../lib/cli/options.ts'
import { EXIT } from '../lib/cli/exit-code.ts'
import * as library from '../lib/index.ts'

const root = join(import.meta.dirname, '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const below = (folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith(ending) && !name.includes('node_modules'))
    .map(name => `${folder}/${name}`)
    .sort()

const LIB = below('lib', '.ts')
const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'lib/README.md',
  'examples/README.md',
  'test/faults/README.md',
].concat(below('docs', '.md'), below('benchmarks', '.md'))

/** The text of a source file without its comments, and without what stands in its texts. */
function codeOf(path: string): string {
  return read(path)
    .replace(/\/\*[^]*?\*\//g, '')
    .replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
    .replace(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, "''")
}

/** The files of lib that a file imports, as paths from the root. */
function importsOf(path: string): string[] {
  return [...read(path).matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, to]) =>
    normalize(join(dirname(path), to ?? '')),
  )
}

void t.test('only the program reads the environment, prints or exits', async t => {
  const forbidden = /\bprocess\.(env|exit|exitCode|argv|stdin|stdout|stderr)\b|\bconsole\./
  for (const path of LIB) {
    if (path.startsWith('lib/cli/')) continue
    t.notMatch(codeOf(path), forbidden, path)
  }
})

void t.test('nothing imports the program, and only the program imports the emulator', async t => {
  for (const path of LIB) {
    const imports = importsOf(path)
    for (const to of imports) t.ok(existsSync(join(root, to)), `${path} imports ${to}`)
    if (!path.startsWith('lib/cli/'))
      t.notOk(
        imports.some(to => to.startsWith('lib/cli/')),
        path,
      )
    if (/^lib\/(cli|emulator)\//.test(path)) continue
    t.notOk(
      imports.some(to => to.startsWith('lib/emulator/')),
      path,
    )
  }
})

void t.test('a stage imports only the main file of another stage', async t => {
  for (const path of LIB) {
    const own = /^lib\/stages\/(\w+)\//.exec(path)?.[1]
    if (own === undefined) continue
    for (const to of importsOf(path)) {
      const [, other = own, file = ''] = /^lib\/stages\/(\w+)\/(.+)$/.exec(to) ?? []
      t.ok(other === own || file === `${other}.ts`, `${path} imports ${to}`)
    }
  }
})

/** The texts in a source file, without its comments. A template is cut at its values. */
function textsOf(path: string): string[] {
  const texts: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) || ts.isTemplateLiteralToken(node)) texts.push(node.text)
    node.forEachChild(visit)
  }
  visit(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest))
  return texts
}

void t.test('no message of the library names a flag of the program', async t => {
  // A style sheet has variables, and other programs have flags of their own.
  const messages = LIB.filter(path => !/^lib\/(cli|report\/style\.ts)/.test(path)).flatMap(path =>
    textsOf(path).map(text => `${path}: ${text.replace(/soffice .*/, '')}`),
  )
  t.ok(messages.length > 1000)
  t.same(
    messages.filter(message => /(?:^|[^-\w])--[a-z]/.test(message)),
    [],
  )
})

void t.test('the program shows an existing flag for an option of the library', async t => {
  const flags = new Set(OPTIONS.flatMap(({ name }) => [`--${name}`, `--no-${name}`]))
  for (const flag of FLAG_OF.values()) t.ok(flags.has(flag.replace(/ .*/, '')), flag)
  t.equal(
    inFlags('name the columns with `columns` of the writer, or pass `readParquet(path)` a file'),
    'name the columns with --output-columns, or pass --from parquet a file',
  )
  t.equal(inFlags('a `path` and a price'), 'a `path` and a price')
})

void t.test('a file is named for what it does', async t => {
  for (const path of LIB) t.notMatch(path, /\b(utils?|helpers?|common|misc|managers?)\b/)
})

void t.test('no type is given up without a reason beside it', async t => {
  for (const path of LIB) t.notMatch(codeOf(path), /(: |<|as )any\b/, path)
})

void t.test('the map of lib names every folder, and no file that is not there', async t => {
  const map = read('lib/README.md')
  const folders = readdirSync(join(root, 'lib'), { withFileTypes: true })
  for (const entry of folders) if (entry.isDirectory()) t.match(map, `${entry.name}/`)
  const files = new Set(
    LIB.flatMap(path => {
      const parts = path.split('/')
      return parts.map((_, at) => parts.slice(at).join('/'))
    }),
  )
  // Links are looked at below; here are the names that stand in the drawing.
  const drawing = map.split('```')[1] ?? ''
  const names = [...drawing.matchAll(/(?:\w+\/)?[\w-]+\.ts\b/g)].map(([name]) => name)
  t.ok(names.length > 30)
  for (const name of names) t.ok(files.has(name), name)
})

void t.test('every flag, code, link and name in the documents is there', async t => {
  const flags = new Set(OPTIONS.map(({ name, negative }) => `--${negative ? 'no-' : ''}${name}`))
  const ofOthers = [
    '--help',
    '--version',
    '--import',
    '--max-old-space-size',
    '--minor-gc-task-trigger',
    '--max-semi-space-size',
    '--disable-coverage',
    '--smoke',
    '--jobs',
    '--joblog',
    '--resume-failed',
    '--mutations',
    '--single-items',
    '--large',
    '--array',
    '--job-name',
    '--requeue',
    '--open-mode',
    '--dependency',
    '--headless',
    '--convert-to',
    '--rm',
    '--init',
    '--user',
  ]
  for (const document of DOCUMENTS) {
    const [promised = '', notYet = ''] = read(document).split('## Not yet')
    for (const [flag] of promised.matchAll(/(?<=[\s`(])--[a-z][a-z-]+/g))
      t.ok(flags.has(flag) || ofOthers.includes(flag), `${document}: ${flag}`)
    for (const [flag] of notYet.matchAll(/(?<=`)--[a-z][a-z-]+(?=`)/g))
      t.notOk(flags.has(flag), `${document} says that there is no ${flag}`)
    for (const [, link = ''] of promised.matchAll(/\]\((?!http)([^)#]+)\)/g))
      t.ok(existsSync(join(root, dirname(document), link)), `${document}: ${link}`)
  }
  for (const code of Object.values(EXIT)) t.match(read('README.md'), new RegExp(`\\b${code}\\b`))
  for (const name of Object.keys(library)) t.match(read('docs/library.md'), name)
})

void t.test('every fault id in a test name is explained', async t => {
  const explained = read('test/faults/README.md')
  const cases = readdirSync(join(root, 'test/cases'), { recursive: true, encoding: 'utf8' })
  const tests = [...below('test', '.test.ts').map(read), ...cases].join('\n')
  const ids = new Set(tests.match(/\b[NCFPIOUR]\d\d\b/g))
  t.ok(ids.size > 50)
  for (const id of ids) t.match(explained, `| ${id} |`, id)
})

void t.test('`npm test` runs every test file', async t => {
  const together = below('test/groups', '.test.ts').flatMap(path => {
    // A folder is named with its path or as the name of a stage.
    const names = [...read(path).matchAll(/'([a-z/]+)'/g)].map(([, name = '']) => name)
    return names.map(name => (name.startsWith('test/') ? name : `test/stages/${name}`))
  })
  const alone = ['test', 'test/crash', 'test/faults', 'test/groups', 'test/torture']
  for (const path of below('test', '.test.ts')) {
    const isRun =
      alone.includes(dirname(path)) || together.some(folder => path.startsWith(`${folder}/`))
    t.ok(isRun, `${path}: name its folder in a file of test/groups`)
  }
})
