// What npm packs: nothing that only this repository needs, and every file that the documents link to.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '..')

/** Documents for contributors, who have the repository. */
function isAboutTheRepository(path: string): boolean {
  return (
    ['CONTRIBUTING.md', 'lib/README.md', 'benchmarks/RESULTS.md'].includes(path) ||
    path.startsWith('docs/decisions/')
  )
}

function packedFiles(): string[] {
  const out = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [pack]: { files: { path: string }[] }[] = JSON.parse(out)
  return pack?.files.map(({ path }) => path) ?? []
}

t.before(() => {
  if (!existsSync(join(root, 'dist/lib/index.js')))
    throw new Error('the package is what is built: `npm run build` first')
})

void t.test(
  'the package contains the library, the program and the documents, and nothing else',
  t => {
    const files = packedFiles()
    for (const wanted of [
      'dist/lib/index.js',
      'dist/lib/index.d.ts',
      'dist/lib/emulator/index.d.ts',
      'dist/bin/claude-batch-stream.js',
      'dist/bin/LICENSES.txt',
      'dist/claude-batch-stream.1',
      'docs/library.md',
      'examples/7-database.ts',
      'README.md',
      'LICENSE',
    ])
      t.ok(files.includes(wanted), wanted)
    t.same(
      files.filter(path =>
        /\.map$|^test|^benchmarks.*js$|\.test\.|^lib\/.*\.ts$|^\.|tsconfig/.test(path),
      ),
      [],
    )
    t.end()
  },
)

void t.test('every link in a packed document leads to a packed file', t => {
  const files = packedFiles()
  const isThere = (path: string): boolean =>
    files.includes(path) || files.some(file => file.startsWith(`${path}/`))
  const broken = files
    .filter(path => path.endsWith('.md') && !isAboutTheRepository(path))
    .flatMap(document => {
      const links = readFileSync(join(root, document), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)
      return [...links]
        .map(([, link = '']) => link)
        .filter(link => !/^\w+:/.test(link))
        .map(link => normalize(join(dirname(document), link)))
        .filter(path => !isThere(path.replace(/\/$/, '')))
        .map(path => `${document}: ${path}`)
    })
  t.same(broken, [])
  t.end()
})
