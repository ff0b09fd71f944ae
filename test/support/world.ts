import Anthropic from '@anthropic-ai/sdk'
import { cpSync, readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Test } from 'tap'
import { aggregate, type AggregateOptions } from '../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd, type AwaitEndOptions } from '../../lib/stages/await/await-end.ts'
import { chain } from '../../lib/core/chain.ts'
import type { inputOrder } from '../../lib/stages/order/input-order.ts'
import { createEmulator, type Emulator, type EmulatorOptions } from '../../lib/emulator/index.ts'
import type { BatchRequest, RejectedRecord } from '../../lib/core/flow.ts'
import type { JobEvent } from '../../lib/core/job/event.ts'
import type { RunEvent } from '../../lib/core/job/run-event.ts'
import type { StoredJob } from '../../lib/store/job.ts'
import type { StoredJobOptions } from '../../lib/store/open.ts'
import { fetchResults, type FetchResultsOptions } from '../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../lib/core/results/result.ts'
import { submit, type SubmitOptions } from '../../lib/stages/submit/submit.ts'
import { openFor } from './jobs.ts'
import { VirtualClock } from './virtual-clock.ts'

/** An API, a client and a folder for jobs, in virtual time. */
export interface World {
  readonly t: Test
  readonly clock: VirtualClock
  readonly emulator: Emulator
  readonly client: Anthropic
  readonly dir: string
  /** Opens a job in the folder; the name is `test` unless the options say otherwise. */
  open(options?: Partial<StoredJobOptions>): Promise<StoredJob>
}

export const KEY = 'sk-ant-secret-key-of-the-test'

export async function makeWorld(t: Test, options: EmulatorOptions = {}): Promise<World> {
  const clock = new VirtualClock()
  const emulator = await createEmulator({ port: null, clock: clock.server, ...options })
  t.teardown(() => emulator.close())
  const dir = t.testdir()
  const client = clientOf(emulator)
  const open = (more: Partial<StoredJobOptions> = {}): Promise<StoredJob> =>
    openFor(t, dir, { clock, ...more })
  return { t, clock, emulator, client, dir, open }
}

export function clientOf(emulator: Emulator, apiKey: string = KEY): Anthropic {
  return new Anthropic({ apiKey, baseURL: emulator.url, fetch: emulator.fetch, logLevel: 'off' })
}

/** A request that asks a text; each text has its own answer. */
export function ask(text: string, custom_id?: string): BatchRequest {
  const params = {
    model: 'claude-haiku-5-5',
    max_tokens: 64,
    messages: [{ role: 'user' as const, content: text }],
  }
  return custom_id === undefined ? { params } : { custom_id, params }
}

export function asks(count: number): BatchRequest[] {
  return Array.from({ length: count }, (_, i) => ask(`question ${i}`))
}

export interface RunOptions {
  readonly client?: Anthropic
  readonly aggregate?: AggregateOptions
  readonly submit?: Partial<SubmitOptions>
  readonly awaitEnd?: Partial<AwaitEndOptions>
  readonly fetch?: Partial<FetchResultsOptions>
  /** What ended batches pass before they are fetched. */
  readonly order?: ReturnType<typeof inputOrder>
  readonly signal?: AbortSignal
  /** Told of whatever a stage waits for. */
  readonly waits?: string[]
}

/** Asks requests in a job, through all stages, and gives the results in their order. */
export async function run(
  world: World,
  job: StoredJob,
  requests: Iterable<BatchRequest | RejectedRecord> | AsyncIterable<BatchRequest | RejectedRecord>,
  options: RunOptions = {},
): Promise<Result[]> {
  const { client = world.client, waits = [] } = options
  const onWait = (_: unknown, why: string): void => void waits.push(why)
  const results: Result[] = []
  const fetched = fetchResults({ client, job, onWait, ...options.fetch })
  await pipeline(
    Readable.from(requests),
    aggregate({ job, ...options.aggregate }),
    submit({ client, onWait, ...options.submit }),
    awaitEnd({ client, job, onWait, ...options.awaitEnd }),
    options.order ? chain(options.order, fetched) : fetched,
    async function (stream: AsyncIterable<Result>) {
      for await (const result of stream) results.push(result)
    },
    { ...(options.signal && { signal: options.signal }) },
  )
  return results
}

/** What a result says, short enough to compare. */
export function said(results: readonly Result[]): string[] {
  return results.map(({ record, status, response }) =>
    `${record?.ordinal}: ${status} ${response ?? ''}`.trim(),
  )
}

/** The calls of one kind that the emulator has seen, by status. */
export function callsOf(emulator: Emulator, op: string): Record<number, number> {
  const calls = emulator.ledger.calls().filter(call => call.op === op)
  return Object.fromEntries(calls.map(({ status, count }) => [status, count]))
}

/** The events in a job's journal, read from disk. */
export function journalOf(folder: string): JobEvent[] {
  // While a batch is armed, room for its outcome lies behind the last line.
  const text = readFileSync(`${folder}/journal.jsonl`, 'utf8').replace(/\0+$/, '')
  const lines = text.split('\n').filter(Boolean)
  return lines.map(line => JSON.parse(line).event)
}

/** Copies a job's folder each time its journal says something: what a death at that moment would leave behind. */
export function deathsOf(job: StoredJob, dir: string, at: (event: RunEvent) => boolean): string[] {
  const copies: string[] = []
  job.on('event', event => {
    if (!at(event)) return
    const copy = `${dir}/death-${copies.length}`
    cpSync(job.store.folder, `${copy}/jobs/test`, { recursive: true })
    copies.push(copy)
  })
  return copies
}

/** A client whose replies are changed on their way. */
export function clientThatChanges(
  { client, emulator }: Pick<World, 'client' | 'emulator'>,
  change: (text: string, path: string, method: string) => string,
): Anthropic {
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await emulator.fetch(url, init)
    const { status, headers } = response
    const method = init?.method?.toUpperCase() ?? 'GET'
    const text = change(await response.text(), new URL(String(url)).pathname, method)
    headers.delete('content-length')
    return new Response(text, { status, headers })
  }
  return client.withOptions({ fetch })
}

/** A reply of the API whose creation times are this much later. */
export function createdLater(text: string, ms: number): string {
  return text.replaceAll(
    /("created_at":")([^"]*)/g,
    (_, key: string, time: string) => key + new Date(Date.parse(time) + ms).toISOString(),
  )
}

export async function oneBill(world: World, count: number): Promise<void> {
  const { accepted, billed, acceptedTwice, billedTwice } = await world.emulator.ledger.totals()
  world.t.same(
    { accepted, billed, acceptedTwice, billedTwice },
    { accepted: count, billed: count, acceptedTwice: 0, billedTwice: 0 },
  )
}

export async function reopened(world: World, job: StoredJob): Promise<StoredJob> {
  await job.close()
  return await world.open()
}
