// What the blocks of docs/recipes.md need, and what they must leave: a table whose texts are as they were, with an answer each.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { echo } from '../../lib/emulator/index.ts'
import { NO_POSTGRES, startPostgres } from './postgres.ts'

/** Texts that a careless export loses: quotes, line breaks, delimiters, nothing, Unicode, and what looks like something else. */
const TEXTS: readonly (string | null)[] = [
  'Broke "after"\na day; it\'s, well\tbad\\n',
  null,
  '',
  'größer 😀 \u202e',
  '\\N',
  'null',
  '=1+1',
  ' two blanks ',
]

/** What a block needs before it runs, and what must hold after it. */
export interface Recipe {
  readonly skip: string | false
  /** Prepares the folder; gives variables for the block. */
  prepare(t: Test, dir: string): Promise<Record<string, string>>
  check(t: Test, dir: string): Promise<void>
}

export function recipeFor(code: string): Recipe {
  if (/^aws /m.test(code)) return skipped('it needs an account: documented, not run')
  if (code.includes('psql ')) return postgres()
  if (code.includes('sqlite3 ')) return database('sqlite3', 'reviews.db', ['-json'])
  if (code.includes('duckdb ')) return database('duckdb', 'reviews.duckdb', ['-json', '-c'])
  return spreadsheet(code)
}

function skipped(skip: string): Recipe {
  return { skip, prepare: async () => ({}), check: async () => {} }
}

interface Row {
  readonly id: number | string
  readonly review: string | null
  readonly sentiment: string | null
}

function checkRows(t: Test, rows: readonly Row[]): void {
  t.same(
    rows.map(({ id, review, sentiment }) => ({ id: Number(id), review, sentiment })),
    TEXTS.map((review, at) => ({
      id: at + 1,
      review,
      sentiment: echo(`Sentiment of: ${review ?? ''}`),
    })),
  )
}

function postgres(): Recipe {
  let server: Awaited<ReturnType<typeof startPostgres>>
  return {
    skip: NO_POSTGRES,
    async prepare(t) {
      server = await startPostgres()
      t.teardown(() => server.stop())
      const pool = server.pool()
      await pool.query('create table reviews (id bigint primary key, review text, sentiment text)')
      await pool.query(
        'insert into reviews (id, review) select at, text from unnest($1::text[]) with ordinality as t(text, at)',
        [TEXTS],
      )
      const { hostname, port, username, password } = new URL(server.url)
      return {
        ...{ PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password },
        ...{ PGDATABASE: 'postgres', PSQLRC: '/dev/null' },
      }
    },
    async check(t) {
      const { rows } = await server.pool().query<Row>('select * from reviews order by id')
      checkRows(t, rows)
    },
  }
}

/** A database in a file, with the program that works on it. */
function database(program: string, file: string, flags: readonly string[]): Recipe {
  const isThere = spawnSync(program, ['--version']).status === 0
  return {
    skip: !isThere && `${program} is not installed`,
    async prepare(_, dir) {
      const quoted = (text: string | null): string =>
        text === null ? 'null' : `'${text.replaceAll("'", "''")}'`
      const values = TEXTS.map((text, at) => `(${at + 1}, ${quoted(text)})`).join(',')
      const sql = `create table reviews (id integer primary key, review text, sentiment text);
        insert into reviews (id, review) values ${values};`
      execFileSync(program, [join(dir, file)], { input: sql })
      return {}
    },
    async check(t, dir) {
      const query = 'select * from reviews order by id'
      const [first = '', ...more] = flags
      const out = execFileSync(program, [first, join(dir, file), ...more, query])
      checkRows(t, JSON.parse(out.toString('utf8')))
    },
  }
}

/** A table of a spreadsheet, of which the answers are a CSV file. */
function spreadsheet(code: string): Recipe {
  const isExcel = code.includes('sep=;')
  const review = isExcel ? 'Größe stimmt; "gut"' : 'Größe stimmt,\nsagt "Ada"'
  return {
    skip: false,
    prepare: async () => ({}),
    async check(t, dir) {
      const cell = (text: string): string =>
        /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
      const answer = echo(`Sentiment of: ${review}`)
      const wanted = `id,review,response,status,error\n1,${cell(review)},${cell(answer)},succeeded,\n`
      t.equal(readFileSync(join(dir, 'answers.csv'), 'utf8'), wanted)
      if (isExcel)
        t.equal(readFileSync(join(dir, 'answers-for-excel.csv'), 'utf8'), `\ufeff${wanted}`)
    },
  }
}
