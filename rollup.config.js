// What is published: the modules that tsc wrote to build/, joined to few files, and one declaration file for each entry.
import { existsSync, readFileSync } from 'node:fs'
import { dts } from 'rollup-plugin-dts'

const { dependencies, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
const packages = Object.keys({ ...dependencies, ...peerDependencies })
const external = id =>
  id.startsWith('node:') || packages.some(name => id === name || id.startsWith(`${name}/`))

const library = { 'lib/index': 'build/lib/index', 'lib/emulator/index': 'build/lib/emulator/index' }
const entries = { ...library, 'bin/claude-batch-stream': 'build/bin/claude-batch-stream' }
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

export default [
  {
    input: inputs(entries, '.js'),
    external,
    context: 'globalThis',
    plugins: [withMap],
    output: {
      dir: 'dist',
      chunkFileNames: 'lib/parts/[name].js',
      hoistTransitiveImports: false,
      sourcemap,
    },
  },
  {
    input: inputs(library, '.d.ts'),
    external,
    plugins: [dts()],
    output: { dir: 'dist', entryFileNames: '[name].d.ts', chunkFileNames: 'lib/parts/[name].ts' },
  },
]
