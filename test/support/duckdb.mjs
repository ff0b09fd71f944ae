// The command `duckdb` for machines that have only the engine (.ci/duckdb): the options of its command line that docs/recipes.md
// and its test use. DUCKDB_MODULES is the folder whose node_modules has @duckdb/node-api.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'

// `-json` is one option of the command, and not the letters of several.
const args = process.argv.slice(2).map(word => (word === '-json' ? '--json' : word))
const { values, positionals } = parseArgs({
  args,
  allowPositionals: true,
  options: {
    command: { type: 'string', short: 'c' },
    json: { type: 'boolean', default: false },
    version: { type: 'boolean', default: false },
  },
})
const { DuckDBInstance, version } = createRequire(`${process.env.DUCKDB_MODULES}/`)(
  '@duckdb/node-api',
)
if (values.version) {
  console.log(version())
} else {
  const [file = ':memory:', ...sql] = positionals
  const instance = await DuckDBInstance.create(file)
  const connection = await instance.connect()
  const query = values.command ?? (sql.join(' ') || readFileSync(0, 'utf8'))
  const rows = (await connection.runAndReadAll(query)).getRowObjectsJson()
  if (values.json) console.log(JSON.stringify(rows))
  connection.closeSync()
  instance.closeSync()
}
