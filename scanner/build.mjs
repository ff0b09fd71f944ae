// Compiles scan.ts into lib/core/json/scanner-bytes.ts; with --check only compares, and fails where they differ.
import asc from 'assemblyscript/asc'
import { readFileSync, writeFileSync } from 'node:fs'

const target = new URL('../lib/core/json/scanner-bytes.ts', import.meta.url)
const options = [
  '--runtime',
  'stub',
  '-O3',
  '--noAssert',
  '--enable',
  'simd',
  '--importMemory',
  '--use',
  'abort=',
]
let wasm
const { error, stderr } = await asc.main(['scan.ts', ...options, '--outFile', 'scan.wasm'], {
  readFile: (name, folder) => {
    try {
      return readFileSync(new URL(name, new URL(`${folder}/`, import.meta.url)), 'utf8')
    } catch {
      return null
    }
  },
  writeFile: (_name, contents) => void (wasm = contents),
  listFiles: () => [],
})
if (error) {
  console.error(stderr.toString())
  throw error
}
const lines = Buffer.from(wasm)
  .toString('base64')
  .match(/.{1,110}/g)
const module = `// Made by scanner/build.mjs from scanner/scan.ts: do not edit.\n\n/** The compiled scanner, in base64. */\nexport const SCANNER: string = [\n${lines.map(line => `  '${line}',\n`).join('')}].join('')\n`
if (!process.argv.includes('--check')) writeFileSync(target, module)
else if (readFileSync(target, 'utf8') !== module) {
  console.error(
    'lib/core/json/scanner-bytes.ts is not what scanner/scan.ts compiles to: run `npm run build` in scanner/',
  )
  process.exitCode = 1
}
console.log(`${wasm.length} bytes`)
