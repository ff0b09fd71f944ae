import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import type pg from 'pg'
import { createEmulator, type FaultCall, type FaultEffect } from '../../lib/emulator/index.ts'
import type { Server } from '../support/postgres.ts'
import {
  endOf,
  faultFor,
  judge,
  pick,
  PROGRAM,
  prepare,
  randomFrom,
  type Paths,
  type TrialReport,
} from './trial.ts'

const LEASE_MS = 1000

/** The number of each kind of fault of workers and their database. */
export interface Harm {
  /** Some of them at the moment when the API receives a call. */
  kills: number
  frozen: number
  /** Workers whose connections to the database stay open and carry nothing, for longer than their lease. */
  cutOff: number
  lostDisks: number
  endedSessions: number
  crashes: number
}

export interface WorkersReport extends TrialReport {
  readonly harm: Harm
}

/**
 * A trial runs a job with several workers and one ledger. Workers are killed, frozen or cut off from the database for longer than
 * their lease, their disks are lost between runs, database sessions are ended and the whole database crashes. Each worker is started
 * again until its shard is done. The emulator's ledger, the part files and the database are then checked.
 */
export async function workersTrial(
  seed: number,
  folder: string,
  count: number,
  server: Server,
  pool: pg.Pool,
): Promise<WorkersReport> {
  const random = randomFrom(seed)
  const harm: Harm = {
    ...{ kills: 0, frozen: 0, cutOff: 0 },
    ...{ lostDisks: 0, endedSessions: 0, crashes: 0 },
  }
  const alive = new Set<ChildProcess>()
  let killsAtCalls = 0
  const killAtCall = ({ op }: FaultCall): void => {
    const isDue = op === 'create' || op === 'results' ? random() < 0.06 : random() < 0.005
    if (!isDue || killsAtCalls >= 2 || alive.size === 0) return
    killsAtCalls += 1
    const child = pick(random, [...alive])
    // Before the API has answered, or a little later.
    setTimeout(() => child.kill('SIGKILL') && (harm.kills += 1), random() < 0.5 ? 0 : random() * 30)
  }
  const onCall = (call: FaultCall): FaultEffect | undefined => {
    killAtCall(call)
    return random() < 0.1 ? faultFor(call, random) : undefined
  }
  const emulator = await createEmulator({ batchTimeMs: 60 + random() * 200, faults: onCall })
  const paths = prepare(folder, seed)
  const job = `torture-${seed}`
  const cap = random() < 0.5 ? ['--max-cost', '0.05'] : []
  const queue = random() < 0.5 ? 'auto' : String(1 + Math.floor(random() * 3))
  const size = String(2 + Math.floor(random() * 4))
  const flags = (index: number, state: string): string[] => [
    ...[
      '--shard',
      `${index}/${count}`,
      '--shard-block',
      '2',
      '--job',
      job,
      '--lease',
      `${LEASE_MS}ms`,
    ],
    ...['-i', paths.input, '-o', join(paths.folder, 'part-{shard}.jsonl'), '-p', 'About: {{text}}'],
    ...['--base-url', emulator.url, '--state-dir', state, '--max-tokens', '64'],
    ...['--poll', '20ms', '--settle', '500ms', '--no-preflight', '-q', '--batch-size', size],
    ...['-c', queue, ...cap],
  ]
  let runs = 0
  const start = (index: number, state: string, url = server.url): ChildProcess => {
    runs += 1
    const child = spawn(process.execPath, [PROGRAM, ...flags(index, state)], {
      env: {
        PATH: process.env['PATH'],
        ANTHROPIC_API_KEY: 'key-of-torture',
        CLAUDE_BATCH_STREAM_LEDGER: url,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    alive.add(child)
    child.once('exit', () => alive.delete(child))
    return child
  }
  const work = async (index: number): Promise<number | null> => {
    const cable = await connectTo(server.url)
    try {
      return await workOver(index, cable)
    } finally {
      await cable.close()
    }
  }
  const workOver = async (index: number, cable: Cable): Promise<number | null> => {
    let code: number | null = null
    for (let tries = 0; tries < 25; tries++) {
      const state = join(paths.folder, `state-${index}`)
      const child = start(index, state, cable.url)
      const ended = endOf(child)
      const harming = tries < 4 ? harmWorker(child, index, cable) : Promise.resolve()
      const { code: last, stderr } = await ended
      code = last
      await harming
      // A wrong flag stays wrong.
      if (code === 0 || code === 2 || code === 3) return code
      if (code !== null && stderr !== '')
        writeFileSync(paths.log, `shard ${index}: ${code} ${stderr}`, { flag: 'a' })
      if (random() < 0.5) {
        rmSync(state, { recursive: true, force: true })
        if (random() < 0.5) rmSync(partOf(paths, index), { force: true })
        harm.lostDisks += 1
      }
    }
    return code
  }
  /** Lets another worker take over a shard while its own worker is blocked for longer than its lease. */
  const whileOtherWorks = async (index: number): Promise<void> => {
    others += 1
    const other = start(index, join(paths.folder, `other-${index}-${others}`))
    const over = endOf(other).then(({ code, stderr }) => {
      if (code !== 0 && code !== 3)
        writeFileSync(paths.log, `other ${index}: ${code} ${stderr}`, { flag: 'a' })
    })
    otherRuns.push(over)
    await sleep(LEASE_MS * 1.5 + random() * 1500)
  }
  const otherRuns: Promise<void>[] = []
  let others = 0
  const harmWorker = async (child: ChildProcess, index: number, cable: Cable): Promise<void> => {
    await sleep(300 + random() * 2500)
    const what = pick(random, [
      'kill',
      'kill',
      'freeze',
      'cut',
      'session',
      'crash',
      'nothing',
    ] as const)
    if (child.exitCode !== null || child.signalCode !== null) return
    if (what === 'kill' && child.kill('SIGKILL')) harm.kills += 1
    if (what === 'freeze' && child.kill('SIGSTOP')) {
      harm.frozen += 1
      await whileOtherWorks(index).finally(() => child.kill('SIGCONT'))
    }
    if (what === 'cut') {
      harm.cutOff += 1
      cable.cut()
      await whileOtherWorks(index).finally(() => cable.mend())
    }
    if (what === 'session') {
      await pool
        .query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'claude-batch-stream'`,
        )
        .catch(() => {})
      harm.endedSessions += 1
    }
    if (what === 'crash') {
      server.crash()
      harm.crashes += 1
    }
  }
  try {
    const codes = await Promise.all(Array.from({ length: count }, (_, index) => work(index)))
    await Promise.all(otherRuns)
    const rows = codes
      .map((_, index) => partOf(paths, index))
      .map(path => (existsSync(path) ? readFileSync(path, 'utf8') : ''))
    writeFileSync(paths.output, rows.join(''))
    const code = codes.find(one => one !== 0) ?? 0
    const problems = await judge(emulator.ledger, paths, code, runs)
    problems.push(...(await leftovers(pool, job)))
    if (problems.length === 0) rmSync(paths.folder, { recursive: true, force: true })
    return { seed, kills: harm.kills, runs, problems, harm }
  } finally {
    await emulator.close()
  }
}

/** What is still reserved for a finished job, and what was spent above its cap. */
async function leftovers(pool: pg.Pool, job: string): Promise<string[]> {
  const { rows: batches } = await pool.query(
    `select shard, number, phase from claude_batch_stream.batch
     where job = $1 and (pool is not null or reserved > 0)`,
    [job],
  )
  const { rows: budgets } = await pool.query(
    `select 1 from claude_batch_stream.budget
     where job = $1 and (reserved <> 0 or spent > cap)`,
    [job],
  )
  const { rows: pools } = await pool.query(
    `select name, used from claude_batch_stream.pool p where used <> (
       select coalesce(sum(requests), 0) from claude_batch_stream.batch b where b.pool = p.name)`,
  )
  return [
    ...batches.map(({ shard, number }) => `batch ${shard}/${number} is still reserved`),
    ...budgets.map(() => 'the budget is not settled'),
    ...pools.map(({ name, used }) => `pool ${name} counts ${used} requests`),
  ]
}

/** A worker's connection to the database. */
interface Cable {
  readonly url: string
  /** Blocks all traffic without closing connections. */
  cut(): void
  /** Lets new connections pass again; blocked ones are broken. */
  mend(): void
  close(): Promise<void>
}

async function connectTo(url: string): Promise<Cable> {
  const { port } = new URL(url)
  const sockets = new Set<Socket>()
  let isCut = false
  const carry = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('data', bytes => void (isCut || to.write(bytes)))
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      if (!isCut) to.destroy()
    })
  }
  const server = createServer(near => {
    const far = connect(Number(port), '127.0.0.1')
    carry(near, far)
    carry(far, near)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const own = typeof address === 'object' && address ? address.port : 0
  const breakAll = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: url.replace(`:${port}/`, `:${own}/`),
    cut: () => (isCut = true),
    mend: () => {
      isCut = false
      breakAll()
    },
    close: async () => {
      breakAll()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

function partOf({ folder }: Paths, index: number): string {
  return join(folder, `part-${String(index).padStart(5, '0')}.jsonl`)
}

async function sleep(ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}
