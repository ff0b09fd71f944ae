// What is published: the modules that tsc wrote to build/, joined to few files, and one declaration file for each entry.
import { readFileSync } from 'node:fs'
import { dts } from 'rollup-plugin-dts'

const { dependencies, peerDependencies } = JSON.parse(readFileSync('package.json', 'utf8'))
const packages = Object.keys({ ...dependencies, ...peerDependencies })
const external = id =>
  id.startsWith('node:') || packages.some(name => id === name || id.startsWith(`${name}/`))

const library = { 'lib/index': 'build/lib/index', 'lib/emulator/index': 'build/lib/emulator/index' }
const entries = { ...library, 'bin/claude-batch-stream': 'build/bin/claude-batch-stream' }
const inputs = (of, extension) =>
  Object.fromEntries(Object.entries(of).map(([name, path]) => [name, path + extension]))

export default [
  {
    input: inputs(entries, '.js'),
    external,
    context: 'globalThis',
    output: {
      dir: 'dist',
      chunkFileNames: 'lib/parts/[name].js',
      hoistTransitiveImports: false,
    },
  },
  {
    input: inputs(library, '.d.ts'),
    external,
    plugins: [dts()],
    output: { dir: 'dist', entryFileNames: '[name].d.ts', chunkFileNames: 'lib/parts/[name].ts' },
  },
]
