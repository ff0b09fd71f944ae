import { PGlite } from '@electric-sql/pglite'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, chownSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { Io } from '../../lib/cli/io.ts'
import type { LedgerConnection, LedgerPool, LedgerRows } from '../../lib/store/postgres/pool.ts'

/** PostgreSQL in this process. It has one connection, so whoever connects waits for the one before. */
export function pglitePool(): LedgerPool & { end(): Promise<void> } {
  const database = new PGlite()
  let last: Promise<unknown> = Promise.resolve()
  const take = async (): Promise<() => void> => {
    let release = (): void => {}
    const before = last
    last = new Promise<void>(resolve => (release = resolve))
    await before
    return release
  }
  const query = async (text: string, values: unknown[] = []): Promise<LedgerRows> => {
    const { rows } = await database.query<Record<string, unknown>>(text, values)
    return { rows }
  }
  return {
    connect: async (): Promise<LedgerConnection> => {
      const release = await take()
      return { query, release }
    },
    query: async (text, values) => {
      const release = await take()
      return await query(text, values).finally(release)
    },
    end: () => database.close(),
  }
}

/** The password of every server here, which nothing that a run says or writes may hold. */
export const PASSWORD = 'secret-of-the-database'

export interface Server {
  readonly url: string
  /** A pool that the server's end closes; of the first database unless a URL names another. */
  pool(url?: string): pg.Pool
  /** Ends at once, as in a crash, and starts again. */
  crash(): void
  stop(): Promise<void>
}

/** Where PostgreSQL's programs are; undefined where it is not installed. */
export function postgresPrograms(): string | undefined {
  const debian = '/usr/lib/postgresql'
  const folders = existsSync(debian)
    ? readdirSync(debian).map(version => `${debian}/${version}/bin`)
    : []
  const inPath = (process.env['PATH'] ?? '').split(':')
  // Homebrew keeps them where PATH leads; on Debian only psql is there.
  return [...folders, ...inPath].find(
    folder => existsSync(`${folder}/initdb`) && existsSync(`${folder}/pg_ctl`),
  )
}

/** Why no server can be started; tests that need one are skipped with it. */
export const NO_POSTGRES: string | false =
  postgresPrograms() === undefined &&
  'PostgreSQL is not installed (Debian: apt-get install postgresql)'

/** A PostgreSQL server of its own, on a free port. Root may not run one, so an unprivileged user does. */
export async function startPostgres(): Promise<Server> {
  // Whoever calls this has looked at NO_POSTGRES.
  const bin = postgresPrograms() as string
  const folder = mkdtempSync(join(tmpdir(), 'cbs-postgres-'))
  const user = process.getuid?.() === 0 ? unprivileged() : undefined
  if (user) chownSync(folder, user.uid, user.gid)
  const data = `${folder}/data`
  const run = (program: string, args: readonly string[]): void =>
    void execFileSync(`${bin}/${program}`, args, { ...user, cwd: folder, stdio: 'ignore' })
  const secret = `${folder}/password`
  writeFileSync(secret, PASSWORD)
  if (user) chownSync(secret, user.uid, user.gid)
  run('initdb', ['-D', data, '-U', 'tester', '-A', 'md5', `--pwfile=${secret}`, '--no-sync'])
  const port = await freePort()
  const start = (): void =>
    run('pg_ctl', [
      ...['-D', data, '-w', '-l', `${folder}/log`],
      ...['-o', `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1`, 'start'],
    ])
  start()
  const url = `postgres://tester:${PASSWORD}@127.0.0.1:${port}/postgres`
  const pools: pg.Pool[] = []
  return {
    url,
    pool: (one = url) => {
      const pool = new pg.Pool({ connectionString: one })
      // An idle connection that breaks is replaced by the pool.
      pool.on('error', () => {})
      pools.push(pool)
      return pool
    },
    crash: () => {
      run('pg_ctl', ['-D', data, '-m', 'immediate', '-w', 'stop'])
      start()
    },
    stop: async () => {
      for (const pool of pools) await pool.end().catch(() => {})
      run('pg_ctl', ['-D', data, '-m', 'immediate', '-w', 'stop'])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function unprivileged(): { uid: number; gid: number } {
  const idOf = (flag: string): number =>
    Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

/** A database of one test's own. */
export interface LedgerDatabase {
  /** What `--ledger` takes. Without a server nothing answers there, and `connectLedger` leads to the database. */
  readonly url: string
  readonly pool: LedgerPool
  readonly connectLedger: Io['connectLedger']
}

let server: Promise<Server> | undefined
let databases = 0

/** A new database: on a server where PostgreSQL is installed, which all tests of this process share; else in this process. */
export async function ledgerDatabase(t: Test): Promise<LedgerDatabase> {
  if (NO_POSTGRES) return inProcess(t)
  server ??= startShared()
  const { url, pool } = await server
  const name = `test_${++databases}`
  await pool().query(`create database ${name}`)
  const own = url.replace(/[^/]*$/, name)
  return { url: own, pool: pool(own), connectLedger: undefined }
}

async function startShared(): Promise<Server> {
  const started = await startPostgres()
  t.teardown(() => started.stop())
  return started
}

function inProcess(t: Test): LedgerDatabase {
  const pool = pglitePool()
  t.teardown(() => pool.end())
  const end = async (): Promise<void> => {}
  return {
    url: 'postgres://tester@127.0.0.1:1/test',
    pool,
    connectLedger: () => ({ ...pool, end }),
  }
}
