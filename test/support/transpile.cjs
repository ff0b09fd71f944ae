// Compiles for the test runner (ts-node loads this file, see tsconfig.json) and keeps the result on disk. Every test file
// is a process of its own; without the cache, each of them compiles the program anew, which takes most of its time.
const { createHash } = require('node:crypto')
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const ts = require('typescript')

const FOLDER = join(__dirname, '../../.tap/compiled')

exports.create = ({ service }) => {
  const compilerOptions = {
    ...service.config.options,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    // ts-node loads .ts files by their own name.
    rewriteRelativeImportExtensions: false,
    declaration: false,
    declarationMap: false,
  }
  const version = JSON.stringify([ts.version, compilerOptions])
  mkdirSync(FOLDER, { recursive: true })
  return {
    transpile(code, { fileName }) {
      const hash = createHash('sha256').update(JSON.stringify([version, fileName, code]))
      const path = join(FOLDER, `${hash.digest('hex')}.json`)
      try {
        return JSON.parse(readFileSync(path, 'utf8'))
      } catch {
        const { outputText, sourceMapText } = ts.transpileModule(code, {
          fileName,
          compilerOptions,
        })
        const compiled = { outputText, sourceMapText }
        // Renamed into place: another process must not read half a file.
        writeFileSync(`${path}.${process.pid}`, JSON.stringify(compiled))
        renameSync(`${path}.${process.pid}`, path)
        return compiled
      }
    },
  }
}
