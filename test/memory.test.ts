// Memory that is in use must not depend on how many records there are: a record more may take 111 bytes at most, less than
// anything that is kept of one.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable, type Duplex, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import t, { type Test } from 'tap'
import {
  aggregate,
  chain,
  spool,
  openJob,
  parseCsv,
  parseJson,
  parseJsonl,
  parseText,
  Result,
  SourceRecord,
  template,
  writeCsv,
  writeJsonl,
  writeText,
  type BatchRequest,
  type EndedBatch,
} from '../lib/index.ts'
import { DOWNLOAD_INPUT_BYTES } from '../lib/core/json/scanner.ts'
import { PROGRAM } from './faults/program.ts'

// What is measured are a dozen runs over 100,000 records, on a machine that may have better things to do.
t.setTimeout(500_000)

const FEW = 5_000
const MANY = 10 * FEW
const MB = 1e6
const MOST_MORE = 111 * (MANY - FEW)

/** Runs a stream of items through a stage and looks at the memory in use at ten places on the way. */
async function mostInUse(count: number, items: Iterable<unknown>, stage: Duplex): Promise<number> {
  let given = 0
  let most = 0
  const look = (): void => {
    // The second collection waits until the memory of buffers that the first one found is given back.
    global.gc?.()
    global.gc?.()
    // Not `external`: what is freed leaves that number only some time later.
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    most = Math.max(most, heapUsed + arrayBuffers)
  }
  const watched = function* (): Generator<unknown> {
    for (const item of items) {
      if (given++ % (count / 10) === 0) look()
      yield item
    }
  }
  await pipeline(Readable.from(watched(), { highWaterMark: 16 }), stage, async things => {
    for await (const thing of things) if (thing === undefined) throw new Error('nothing came')
  })
  look()
  return most
}

const text = (n: number): string => `Broke after day ${n}, and the shop would not take it back`

function* some<T>(count: number, make: (n: number) => T): Generator<T> {
  for (let n = 0; n < count; n++) yield make(n)
}

function* lines(count: number, make: (n: number) => string): Generator<Buffer> {
  for (let n = 0; n < count; n++) yield Buffer.from(make(n))
}

const recordOf = (n: number): SourceRecord =>
  new SourceRecord(Buffer.from(JSON.stringify({ id: n, text: text(n) })), { line: n + 1 })

function resultOf(n: number): Result {
  const message = { content: [{ type: 'text', text: text(n) }], stop_reason: 'end_turn', usage: {} }
  const raw = JSON.stringify({ custom_id: `r-${n}`, result: { type: 'succeeded', message } })
  // A writer reads no more of a batch than its id and its attempt.
  const batch = { id: 'msgbatch_1', attempt: 1 } as EndedBatch
  return new Result({
    batch,
    customId: null,
    record: recordOf(n),
    raw: Buffer.from(raw),
    last: false,
  })
}

function* jsonArray(count: number): Generator<Buffer> {
  yield Buffer.from('[')
  yield* lines(count, n => `${n === 0 ? '' : ','}${JSON.stringify({ id: n, text: text(n) })}`)
  yield Buffer.from(']')
}

const requestOf = (n: number): BatchRequest => ({
  params: {
    model: 'claude-haiku-4-5',
    max_tokens: 10,
    messages: [{ role: 'user', content: text(n) }],
  },
  record: recordOf(n),
})

const STAGES: Readonly<Record<string, [(count: number) => Iterable<unknown>, () => Duplex]>> = {
  parseJsonl: [
    count => lines(count, n => `${JSON.stringify({ id: n, text: text(n) })}\n`),
    () => parseJsonl(),
  ],
  parseCsv: [count => lines(count, n => `${n},"${text(n)}"\n`), () => parseCsv({ header: false })],
  parseJson: [jsonArray, () => parseJson()],
  parseText: [count => lines(count, n => `${text(n)}\n`), () => parseText()],
  keep: [count => some(count, recordOf), () => spool()],
  template: [count => some(count, recordOf), () => template({ prompt: 'Say {{text}}' })],
  aggregate: [count => some(count, requestOf), () => aggregate({ batchSize: 1000 })],
  writeJsonl: [count => some(count, resultOf), () => writeJsonl()],
  writeCsv: [count => some(count, resultOf), () => writeCsv()],
  writeText: [count => some(count, resultOf), () => writeText()],
}

for (const [name, [items, make]] of Object.entries(STAGES)) {
  void t.test(`${name} uses no more memory for ten times the records`, async t => {
    // Once for nothing, as code that is compiled on the way is memory too.
    await mostInUse(FEW, items(FEW), make())
    const few = await mostInUse(FEW, items(FEW), make())
    const many = await mostInUse(MANY, items(MANY), make())
    t.ok(many - few < MOST_MORE, `${inMB(few)} for ${FEW}, ${inMB(many)} for ${MANY}`)
  })
}

void t.test('a job that joins results with spooled records stays as small', async t => {
  const of = async (count: number): Promise<number> => {
    await using job = await openJob({ name: 'kept', dir: t.testdir({}) })
    const through = chain(spool({ job }), template({ prompt: '{{text}}' }), aggregate({ job }))
    return await mostInUse(count, some(count, recordOf), through)
  }
  const few = await of(FEW)
  const many = await of(MANY)
  t.ok(many - few < MOST_MORE, `${inMB(few)} for ${FEW}, ${inMB(many)} for ${MANY}`)
})

function inMB(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`
}

/** Takes what the program prints, and ends with it. */
type Reader = (stdout: Readable) => Promise<number>

async function asFast(stdout: Readable): Promise<number> {
  let bytes = 0
  for await (const chunk of stdout) bytes += chunk.length
  return bytes
}

/** Reads a little now and then, so that the program waits for its reader nearly all the time. */
async function slowly(stdout: Readable): Promise<number> {
  let bytes = 0
  for await (const chunk of stdout) {
    bytes += chunk.length
    await pause(5)
  }
  return bytes
}

/** Runs the whole program over so many records and gives the memory that it had in use. */
async function program(
  t: Test,
  url: string,
  count: number,
  reader: Reader,
  { dir = t.testdir({}), more = [] }: { dir?: string; more?: readonly string[] } = {},
): Promise<number> {
  const sampler = new URL('support/live-memory.mjs', pathToFileURL(import.meta.filename)).href
  const words = ['--state-dir', join(dir, 's'), '--poll', '10ms', '--batch-size', '2500', '-q']
  const child = spawn(
    process.execPath,
    ['--import', sampler, PROGRAM, ...words, ...more, '--from', 'jsonl', '-p', 'Say {{text}}'],
    {
      env: {
        PATH: process.env['PATH'],
        ANTHROPIC_API_KEY: 'any',
        ANTHROPIC_BASE_URL: url,
        LIVE_MEMORY: join(dir, 'most'),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  )
  t.teardown(() => child.kill('SIGKILL'))
  const fed = pipeline(
    Readable.from(lines(count, n => `${JSON.stringify({ id: n, text: text(n) })}\n`)),
    child.stdin as Writable,
  )
  const [bytes, [code]] = await Promise.all([reader(child.stdout), once(child, 'close'), fed])
  t.equal(code, 0)
  t.ok(bytes > count * 100, 'every row came')
  return Number(readFileSync(join(dir, 'most'), 'utf8'))
}

void t.test('the whole program stays as small, for any producer and reader', async t => {
  const emulator = spawn(process.execPath, [PROGRAM, 'emulate', '--batch-time', '10ms'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => emulator.kill())
  const url = String((await once(emulator.stdout, 'data'))[0]).trim()
  for (const [name, reader] of [
    ['a fast reader', asFast],
    ['a slow reader', slowly],
  ] as const) {
    await t.test(name, async t => {
      const few = await program(t, url, FEW, reader)
      const many = await program(t, url, MANY, reader)
      // Most samples of a short run may come before the first download, which takes this memory once.
      t.ok(
        many - few < MOST_MORE + DOWNLOAD_INPUT_BYTES,
        `${inMB(few)} for ${FEW}, ${inMB(many)} for ${MANY}`,
      )
    })
  }
  await t.test('answers of an earlier job', async t => {
    const reusing = async (count: number): Promise<number> => {
      const dir = t.testdir({})
      await program(t, url, count, asFast, { dir, more: ['--job', 'first'] })
      const more = ['--job', 'second', '--reuse', 'first']
      return await program(t, url, count, asFast, { dir, more })
    }
    const few = await reusing(FEW)
    const many = await reusing(MANY)
    t.ok(many - few < MOST_MORE, `${inMB(few)} for ${FEW}, ${inMB(many)} for ${MANY}`)
  })
})
