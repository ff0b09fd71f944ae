import { BatchStreamError } from '../../core/errors.ts'
import { inTransaction, type LedgerPool } from './pool.ts'

/** The version of the tables; a higher one in the database is refused. */
export const SCHEMA_VERSION = 2

/** Any number, the same for every process that creates the tables. */
const CREATION_LOCK = 7_236_001

const TABLES = `
create schema if not exists claude_batch_stream;
create table if not exists claude_batch_stream.version (version int not null);
create table if not exists claude_batch_stream.job (
  name text primary key,
  shards int not null,
  block int not null,
  created_at timestamptz not null default now()
);
create table if not exists claude_batch_stream.shard (
  job text not null references claude_batch_stream.job on delete cascade,
  i int not null,
  card text,
  owner text,
  epoch bigint not null default 0,
  lease_until timestamptz not null default '-infinity',
  primary key (job, i)
);
create table if not exists claude_batch_stream.event (
  job text not null,
  shard int not null,
  seq int not null,
  epoch bigint not null,
  line text not null,
  primary key (job, shard, seq),
  foreign key (job, shard) references claude_batch_stream.shard on delete cascade
);
create table if not exists claude_batch_stream.batch (
  job text not null,
  shard int not null,
  number int not null,
  requests int not null,
  phase text not null,
  workspace text,
  id text,
  late_id text,
  reserved numeric not null default 0,
  spent numeric,
  pool text,
  files bytea,
  primary key (job, shard, number),
  foreign key (job, shard) references claude_batch_stream.shard on delete cascade
);
create index if not exists batch_id on claude_batch_stream.batch (id);
create table if not exists claude_batch_stream.pool (
  name text primary key,
  used bigint not null default 0,
  cap bigint,
  cap_until timestamptz
);
create table if not exists claude_batch_stream.budget (
  job text primary key references claude_batch_stream.job on delete cascade,
  spent numeric not null default 0,
  reserved numeric not null default 0,
  cap numeric not null
);
alter table claude_batch_stream.budget
  add column if not exists billed numeric not null default 1,
  add column if not exists estimated numeric not null default 1;
`

/** Creates the tables on first use. Tables of a newer version are `CBS_STATE`. */
export async function prepareSchema(pool: LedgerPool): Promise<void> {
  let known = await versionOf(pool)
  if (known < SCHEMA_VERSION) {
    await createTables(pool)
    // A newer version may have created them at the same time.
    known = await versionOf(pool)
  }
  if (known > SCHEMA_VERSION) throw newerSchema(known)
}

async function createTables(pool: LedgerPool): Promise<void> {
  await inTransaction(pool, async connection => {
    await connection.query('select pg_advisory_xact_lock($1)', [CREATION_LOCK])
    // One statement at a time, since not every driver takes several.
    for (const statement of TABLES.split(';')) {
      if (statement.trim() !== '') await connection.query(statement)
    }
    await connection.query(
      `insert into claude_batch_stream.version select $1::int
       where not exists (select from claude_batch_stream.version)`,
      [SCHEMA_VERSION],
    )
    await connection.query(
      'update claude_batch_stream.version set version = greatest(version, $1::int)',
      [SCHEMA_VERSION],
    )
  })
}

/** The version of the tables; 0 if there are none. */
async function versionOf(pool: LedgerPool): Promise<number> {
  const { rows: found } = await pool.query(
    `select to_regclass('claude_batch_stream.version') is not null as "exists"`,
  )
  if (found[0]?.['exists'] !== true) return 0
  const { rows } = await pool.query(
    'select max(version) as version from claude_batch_stream.version',
  )
  // The table and its row are created in one transaction.
  return Number(rows[0]?.['version'])
}

function newerSchema(version: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the ledger's tables have version ${version}, and this version of claude-batch-stream knows ${SCHEMA_VERSION}: update it; nothing was sent`,
  )
}
