import { t, type Test } from 'tap'
import { systemClock } from '../../lib/core/clock.ts'
import type { JobEvent } from '../../lib/core/job/event.ts'
import { nodeDisk } from '../../lib/store/disk.ts'
import { FileJournal } from '../../lib/store/file-journal.ts'
import type { Journal } from '../../lib/store/journal.ts'
import { postgresLedger, postgresLedgerOf } from '../../lib/store/postgres/ledger.ts'
import type { LedgerPool } from '../../lib/store/postgres/pool.ts'
import { NO_POSTGRES, pglitePool, startPostgres } from '../support/postgres.ts'

type Open = () => Promise<{ journal: Journal; events: JobEvent[] }>

const OPENED: JobEvent = { type: 'opened', version: 2, run: 'abcdefghij', at: 1 }
const WORKSPACE: JobEvent = { type: 'workspace', id: 'wrkspc_"ü\u0000' }
const FINISHED: JobEvent = { type: 'finished', at: 2 }

/** Requirements of every kind of journal. */
function conformance(name: string, kind: (t: Test) => Promise<Open>): void {
  void t.test(`${name}: events are read back in order`, async t => {
    const open = await kind(t)
    const { journal, events } = await open()
    t.same(events, [])
    const appends = [
      journal.append(OPENED, true),
      journal.append(WORKSPACE, false),
      journal.append(FINISHED, true),
    ]
    await Promise.all(appends)
    journal.assertOwned()
    t.notOk(journal.lost.aborted)
    await journal.close()
    const again = await open()
    t.same(again.events, [OPENED, WORKSPACE, FINISHED])
    await again.journal.append(FINISHED, true)
    await again.journal.close()
    const last = await open()
    t.equal(last.events.length, 4)
    await last.journal.close()
  })

  void t.test(`${name}: a large event is read back whole`, async t => {
    const open = await kind(t)
    const { journal } = await open()
    const names = Array.from({ length: 20_000 }, (_, i) => `column "${i}" ☃`)
    await journal.append({ type: 'columns', names }, true)
    await journal.close()
    const again = await open()
    t.same(again.events, [{ type: 'columns', names }])
    await again.journal.close()
  })
}

conformance('a file', async t => {
  const path = `${t.testdir()}/journal.jsonl`
  return () => FileJournal.open(nodeDisk, path)
})

let jobs = 0

function inPostgres(pool: LedgerPool): Open {
  const ledger = postgresLedgerOf(postgresLedger({ pool, leaseMs: 1000 }))
  const key = { job: `job-${++jobs}`, index: 0, count: 1, block: 0 }
  return async () => {
    const { shard: journal, events } = await ledger.take(key, systemClock, async () =>
      Buffer.alloc(0),
    )
    return { journal, events }
  }
}

const lite = pglitePool()
t.teardown(() => lite.end())
conformance('PGlite', async () => inPostgres(lite))

if (NO_POSTGRES) void t.test('a PostgreSQL server', { skip: NO_POSTGRES }, async () => {})
else {
  const server = await startPostgres()
  t.teardown(() => server.stop())
  const pool = server.pool()
  conformance('a PostgreSQL server', async () => inPostgres(pool))
}
