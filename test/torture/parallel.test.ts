// Four shards under GNU parallel, whose workers are killed in the middle.
import { execFile, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createEmulator, type Emulator, type EmulatorOptions } from '../../lib/emulator/index.ts'
import { randomFrom } from './trial.ts'

const root = join(import.meta.dirname, '../..')
const PROGRAM = join(root, 'dist/bin/claude-batch-stream.js')
const TRIALS = Number(process.env['TORTURE_SHARDS'] ?? 1)
const SEED = Number(process.env['TORTURE_SEED'] ?? 1)
const RECORDS = 60

const hasParallel = /GNU parallel/.test(
  spawnSync('parallel', ['--version'], { encoding: 'utf8' }).stdout ?? '',
)
// Workers are found in /proc.
const skip =
  hasParallel && process.platform === 'linux'
    ? false
    : 'GNU parallel is not installed here, or this is not Linux'

interface Ran {
  readonly code: number
  readonly err: string
}

/** A folder with an input, and a worker that leaves its process id behind, so that a test can kill it. */
function folderFor(t: Test): string {
  const worker = `#!/bin/sh\necho $$ >> "${join(t.testdirName, 'pids')}"\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`
  const rows = Array.from({ length: RECORDS }, (_, at) => `${at},text ${at}\n`)
  const dir = t.testdir({
    bin: { 'claude-batch-stream': worker },
    pids: '',
    'in.csv': `id,review\n${rows.join('')}`,
  })
  chmodSync(join(dir, 'bin/claude-batch-stream'), 0o755)
  return dir
}

function shell(script: string, dir: string, emulator: Emulator): Promise<Ran> {
  const env = {
    PATH: `${join(dir, 'bin')}:${process.env['PATH']}`,
    HOME: dir,
    ANTHROPIC_API_KEY: 'key-of-torture',
    ANTHROPIC_BASE_URL: emulator.url,
    CLAUDE_BATCH_STREAM_STATE_DIR: join(dir, 'state'),
    CLAUDE_BATCH_STREAM_POLL: '30ms',
    CLAUDE_BATCH_STREAM_SETTLE: '500ms',
  }
  return new Promise(resolve => {
    execFile('sh', ['-eu', '-c', script], { cwd: dir, env, timeout: 300_000 }, (error, _, err) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, err }),
    )
  })
}

/** Kills one worker that is alive, if there is any; says whether it did. */
function killOne(dir: string, random: () => number): boolean {
  const pids = readFileSync(join(dir, 'pids'), 'utf8').trim().split('\n').map(Number)
  const alive = pids.filter(pid => pid > 0 && isWorker(pid))
  const pid = alive[Math.floor(random() * alive.length)]
  return pid !== undefined && process.kill(pid, 'SIGKILL')
}

/** A process id may have been given to another process since. */
function isWorker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(PROGRAM)
  } catch {
    return false
  }
}

const ASK = '--batch-size 4 --shard-block 3 -p "Sentiment of:\\ {{review}}" --no-preflight -q'

/** Rows without the ids that differ between any two runs. */
function comparable(path: string): string {
  return readFileSync(path, 'utf8').replaceAll(/"(custom_id|batch_id)":"[^"]*"/g, '"$1":""')
}

async function emulatorFor(t: Test, options: EmulatorOptions): Promise<Emulator> {
  const emulator = await createEmulator(options)
  t.teardown(() => emulator.close())
  return emulator
}

void t.test(
  'workers of GNU parallel are killed, and the merged rows are those of an undisturbed run',
  { skip },
  async t => {
    const quiet = await emulatorFor(t, { batchTimeMs: 20 })
    const whole = folderFor(t)
    const undisturbed = await shell(
      `claude-batch-stream -i in.csv --order input -o whole.jsonl ${ASK.replace('--shard-block 3', '')}`,
      whole,
      quiet,
    )
    t.equal(undisturbed.code, 0, undisturbed.err)
    const expected = comparable(join(whole, 'whole.jsonl'))
    let kills = 0
    for (let seed = SEED; seed < SEED + TRIALS; seed++) {
      await t.test(`seed ${seed}`, async t => {
        const random = randomFrom(seed)
        const dir = folderFor(t)
        let left = 3
        const emulator = await emulatorFor(t, {
          batchTimeMs: 60,
          faults: () => {
            if (left > 0 && random() < 0.12) {
              left -= 1
              // Before the API has answered, or a little later.
              const kill = (): void => void (killOne(dir, random) && (kills += 1))
              if (random() < 0.5) kill()
              else setTimeout(kill, random() * 60)
            }
            return undefined
          },
        })
        const array = (more: string): string =>
          `seq 4 | parallel -N0 --jobs 4 --joblog shards.log ${more} 'claude-batch-stream -i in.csv --job nightly --shard auto --shards 4 -o part-{shard}.jsonl ${ASK}'`
        // Some are started again at once; what has failed for good waits for the next command.
        let ran = await shell(array('--retries 2'), dir, emulator)
        for (let more = 0; ran.code !== 0 && more < 6; more++)
          ran = await shell(array('--retries 2 --resume-failed'), dir, emulator)
        t.equal(ran.code, 0, ran.err)
        const merged = await shell(
          'claude-batch-stream merge nightly -o merged.jsonl',
          dir,
          emulator,
        )
        t.equal(merged.code, 0, merged.err)
        t.equal(comparable(join(dir, 'merged.jsonl')), expected)
        t.match(await emulator.ledger.totals(), { billed: RECORDS, billedTwice: 0 })
      })
    }
    t.comment(`${TRIALS} trials of 4 workers, ${kills} kills`)
    t.ok(kills > 0, 'something was killed')
  },
)

void t.test(
  'the commands of docs/many-machines.md work word by word, with one worker killed in the middle',
  { skip },
  async t => {
    const dir = folderFor(t)
    const text = readFileSync(join(root, 'docs/many-machines.md'), 'utf8')
    const [, block = ''] = /## GNU parallel\n[^]*?```bash\n([^]*?)```/.exec(text) ?? []
    t.match(block, 'parallel')
    writeFileSync(join(dir, 'reviews.csv'), readFileSync(join(dir, 'in.csv')))
    let isKilled = false
    const emulator = await emulatorFor(t, {
      batchTimeMs: 100,
      faults: ({ op }) => {
        isKilled ||= op === 'retrieve' && killOne(dir, () => 0)
        return undefined
      },
    })
    const ran = await shell(block, dir, emulator)
    t.equal(ran.code, 0, ran.err)
    t.ok(isKilled)
    const rows = readFileSync(join(dir, 'out.jsonl'), 'utf8').trimEnd().split('\n')
    t.same(
      rows.map(row => JSON.parse(row).id),
      Array.from({ length: RECORDS }, (_, at) => String(at)),
    )
    t.ok(existsSync(join(dir, 'shards.log')))
    t.match(await emulator.ledger.totals(), { billed: RECORDS, billedTwice: 0 })
  },
)
