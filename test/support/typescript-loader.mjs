// Compiles TypeScript and keeps the result on disk. Every test file is a process of its own; with the cache, none of them loads
// the compiler, which would take longer than most tests.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const FOLDER = new URL('../../.tap/compiled/', import.meta.url)
const require = createRequire(import.meta.url)
// A change of this file or of the compiler makes the cache invalid.
const version = readFileSync(new URL(import.meta.url)) + require('typescript/package.json').version

/** Hands the compiled source to the hooks behind this one as if it had been read: coverage reads the source map in it. */
export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !/^[^?#]*\.ts(?:[?#]|$)/.test(url))
    return await nextLoad(url, context)
  return await nextLoad(url, { ...context, format: 'module', source: compiled(fileURLToPath(url)) })
}

function compiled(path) {
  const code = readFileSync(path, 'utf8')
  const hash = createHash('sha256')
    .update(JSON.stringify([version, path, code]))
    .digest('hex')
  const cached = new URL(`${hash}.js`, FOLDER)
  try {
    return readFileSync(cached, 'utf8')
  } catch {
    const output = compile(path, code)
    mkdirSync(FOLDER, { recursive: true })
    // Renamed into place: another process must not read half a file.
    const unfinished = new URL(`${hash}.${process.pid}`, FOLDER)
    writeFileSync(unfinished, output)
    renameSync(unfinished, cached)
    return output
  }
}

function compile(fileName, code) {
  const ts = require('typescript')
  const { outputText } = ts.transpileModule(code, {
    fileName,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      verbatimModuleSyntax: true,
      inlineSourceMap: true,
    },
  })
  return outputText
}
