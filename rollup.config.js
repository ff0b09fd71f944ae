// What is published: the modules that tsc wrote to build/, joined to few files, and one declaration file for each entry.
// The library leaves its dependencies to the user's node_modules. The program contains them: a short run would otherwise spend
// most of its time on finding and loading the 280 files of the SDK.
import commonjs from '@rollup/plugin-commonjs'
import nodeResolve from '@rollup/plugin-node-resolve'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dts } from 'rollup-plugin-dts'

const { name, dependencies, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
const packages = Object.keys({ ...dependencies, ...peerDependencies })
const isOf = (names, id) => names.some(name => id === name || id.startsWith(`${name}/`))

/** What the program does not contain: what is optional, and what few runs load. */
const outside = [
  'pg',
  'hyparquet',
  'hyparquet-compressors',
  'hyparquet-writer',
  'ajv',
  'undici',
  name,
]

const library = { 'lib/index': 'build/lib/index', 'lib/emulator/index': 'build/lib/emulator/index' }
const inputs = (of, extension) =>
  Object.fromEntries(Object.entries(of).map(([name, path]) => [name, path + extension]))

// The package has no source maps. Tests build with them, so that coverage of the program counts for the files of lib/ and bin/.
const sourcemap = process.env.SOURCE_MAPS === '1'
const withMap = {
  name: 'with-map',
  load: path =>
    sourcemap && existsSync(`${path}.map`)
      ? { code: readFileSync(path, 'utf8'), map: readFileSync(`${path}.map`, 'utf8') }
      : null,
}

/** Keeps packages out of coverage: the test runner does so, but not if a process ends while it loads one. */
const uncounted = {
  name: 'uncounted',
  load: path =>
    sourcemap && path.includes('/node_modules/') && /\.[cm]?js$/.test(path)
      ? `/* c8 ignore start */\n${readFileSync(path, 'utf8')}`
      : null,
}

/** The licenses of the packages that the program contains, as they require. */
const licenses = {
  name: 'licenses',
  generateBundle() {
    const ids = [...this.getModuleIds()].filter(id => !id.startsWith('\0'))
    const folderOf = id => /^.*\/node_modules\/(@[^/]+\/)?[^/]+(?=\/)/.exec(id)?.[0] ?? []
    const folders = new Set(ids.flatMap(folderOf))
    const texts = [...folders].sort().map(folder => {
      const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'))
      const file = readdirSync(folder).find(file => /^licen[cs]e/i.test(file))
      return `${name} ${version} (${license})\n\n${file ? readFileSync(`${folder}/${file}`, 'utf8') : ''}`
    })
    this.emitFile({ type: 'asset', fileName: 'bin/LICENSES.txt', source: texts.join('\n---\n\n') })
  },
}

const joined = { dir: 'dist', hoistTransitiveImports: false, sourcemap }

export default [
  {
    input: inputs(library, '.js'),
    external: id => id.startsWith('node:') || isOf(packages, id),
    context: 'globalThis',
    plugins: [withMap],
    output: { ...joined, chunkFileNames: 'lib/parts/[name].js' },
  },
  {
    input: { 'bin/claude-batch-stream': 'build/bin/claude-batch-stream.js' },
    external: id => id.startsWith('node:') || isOf(outside, id),
    context: 'globalThis',
    plugins: [
      withMap,
      uncounted,
      nodeResolve({ exportConditions: ['node'] }),
      commonjs(),
      licenses,
    ],
    // Two packages have cycles of imports, which are theirs to mend.
    onwarn: (warning, warn) => warning.code === 'CIRCULAR_DEPENDENCY' || warn(warning),
    output: { ...joined, chunkFileNames: 'bin/parts/[name].js' },
  },
  {
    input: inputs(library, '.d.ts'),
    external: id => isOf(packages, id),
    plugins: [dts()],
    output: { dir: 'dist', entryFileNames: '[name].d.ts', chunkFileNames: 'lib/parts/[name].ts' },
  },
]
