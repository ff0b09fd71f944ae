import type Anthropic from '@anthropic-ai/sdk'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { runBatches } from '../../../lib/index.ts'
import { echo } from '../../../lib/emulator/index.ts'
import { watched } from '../../support/jobs.ts'
import {
  asks,
  clientOf,
  clientThatChanges,
  makeWorld,
  run,
  said,
  type World,
} from '../../support/world.ts'
import { NOT_FOUND } from '../../support/lying-api.ts'

const answers = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${i}: succeeded ${echo(`question ${i}`)}`)

type Reply = (url: string, isFirst: boolean) => Promise<Response | undefined> | Response | undefined

/** A world whose API is the emulator's, but for the result sets, and the URLs that were requested. */
async function worldWith(
  t: Test,
  results: Reply,
): Promise<{ world: World; client: Anthropic; urls: string[] }> {
  const world = await makeWorld(t)
  const urls: string[] = []
  let downloads = 0
  const fetch: typeof world.emulator.fetch = async (input, init) => {
    const url = String(input)
    urls.push(url)
    const reply = url.endsWith('/results') ? await results(url, downloads++ === 0) : undefined
    return reply ?? (await world.emulator.fetch(input, init))
  }
  return { world, client: clientOf({ ...world.emulator, url: world.emulator.url, fetch }), urls }
}

/** A body that repeats a text without an end, and how many bytes of it were read. */
function endless(text: string): { body: ReadableStream; size: () => number } {
  const part = Buffer.from(text.repeat(Math.ceil(65_536 / text.length)))
  let size = 0
  const body = new ReadableStream({
    pull(controller) {
      size += part.length
      controller.enqueue(part)
    },
  })
  return { body, size: () => size }
}

void t.test('a result set that cannot be decoded is abandoned after five tries', async t => {
  const undecodable = (): Response => {
    const cause = Object.assign(new Error('incorrect header check'), { code: 'Z_DATA_ERROR' })
    const start = (controller: ReadableStreamDefaultController): void =>
      controller.error(new TypeError('terminated', { cause }))
    return new Response(new ReadableStream({ start }))
  }
  const { world, client, urls } = await worldWith(t, undecodable)
  const job = await world.open()
  const began = world.clock.elapsed()
  await t.rejects(run({ ...world, client }, job, asks(3)), { code: 'CBS_API' })
  t.equal(urls.filter(url => url.endsWith('/results')).length, 5)
  t.ok(world.clock.elapsed() - began < 24 * 60 * 60 * 1000, 'long before an outage is given up')
})

for (const results_url of ['x:5/steal', 'data:text/plain,x', '//evil.example/v1', 'http://']) {
  void t.test(`the results_url ${results_url} leads nowhere else, and loses nothing`, async t => {
    const { world, client: plain, urls } = await worldWith(t, () => undefined)
    const client = plain.withOptions({
      // The spy of the world stays below this one.
      fetch: async (input, init) => {
        const { fetch } = plain as unknown as { fetch: typeof globalThis.fetch }
        const response = await fetch(String(input), init)
        if (String(input).endsWith('/results')) return response
        const text = await response.text()
        const lie = JSON.stringify(results_url)
        return new Response(
          text.replaceAll(/"results_url":"[^"]*"/g, `"results_url":${lie}`),
          response,
        )
      },
    })
    const job = await world.open()
    t.same(said(await run({ ...world, client }, job, asks(3))), answers(3))
    t.same([...new Set(urls.map(url => new URL(url).origin))], [new URL(world.emulator.url).origin])
  })
}

for (const [name, text, most] of [
  ['lines of another batch', '{"custom_id":"nobody","result":{"type":"succeeded"}}\n', 1_000_000],
  ['one line', 'x', 70_000_000],
  ['blank lines', '\n', 4_000_000],
] as const) {
  void t.test(
    `a result set of ${name} without an end is not downloaded to its end, and downloaded again`,
    async t => {
      const { body, size } = endless(text)
      const { world, client } = await worldWith(t, (_, isFirst) =>
        isFirst ? new Response(body) : undefined,
      )
      const waits: string[] = []
      const results = await run({ ...world, client }, await world.open(), asks(3), { waits })
      t.same(said(results), answers(3))
      t.match(waits, [/are not complete \(/])
      t.ok(size() < most, String(size()))
    },
  )
}

void t.test('disk space that a failed download filled is freed at once', async t => {
  const { world, client } = await worldWith(t, () => undefined)
  const disk = watched((what, path) => {
    if (what === 'write' && path.endsWith('.download'))
      throw new BatchStreamError('CBS_DISK', 'ENOSPC: no space left on device')
  })
  const job = await world.open({ disk })
  await t.rejects(run({ ...world, client }, job, asks(3)), { code: 'CBS_DISK' })
  t.notOk(existsSync(`${job.store.folder}/batches/1.download`))
})

const DAY = 24 * 60 * 60 * 1000

void t.test('one 404 with a Date weeks ahead does not make rows unanswered', async t => {
  const date = new Date(Date.parse('2026-11-20T12:00:00Z') + 40 * DAY).toUTCString()
  const { world, client } = await worldWith(t, (_, isFirst) =>
    isFirst ? new Response('{}', { status: 404, headers: { date } }) : undefined,
  )
  t.same(said(await run({ ...world, client }, await world.open(), asks(3))), answers(3))
})

void t.test(
  'one 404 after the local clock was wrong by weeks does not make rows unanswered',
  async t => {
    // Without a Date the local clock is all there is.
    const { world, client: plain } = await worldWith(t, (_, isFirst) =>
      isFirst ? new Response('{}', { status: 404 }) : undefined,
    )
    const { fetch } = plain as unknown as { fetch: typeof globalThis.fetch }
    const client = plain.withOptions({
      fetch: async (input, init) => {
        if (String(input).endsWith('/results')) world.clock.jump(60 * DAY)
        const response = await fetch(String(input), init)
        response.headers.delete('date')
        return response
      },
    })
    t.same(said(await run({ ...world, client }, await world.open(), asks(3))), answers(3))
  },
)

for (const [whose, body] of [
  ['the API', NOT_FOUND],
  ['another server', '{}'],
])
  void t.test(
    `one 404 of ${whose} after hours of outage does not make rows unanswered`,
    async t => {
      let downloads = 0
      const { world, client } = await worldWith(t, () => {
        downloads += 1
        if (downloads > 101) return undefined
        return new Response(body, { status: downloads > 100 ? 404 : 503 })
      })
      const began = world.clock.elapsed()
      t.same(said(await run({ ...world, client }, await world.open(), asks(3))), answers(3))
      t.ok(world.clock.elapsed() - began > 60 * 60 * 1000, 'longer than the settle time')
    },
  )

/** Results that never name a custom_id of their batch, for these URLs in the order of their first download. */
function foreignFor(isForeign: (nth: number) => boolean): Reply {
  const seen: string[] = []
  return url => {
    if (!seen.includes(url)) seen.push(url)
    return isForeign(seen.indexOf(url) + 1)
      ? new Response('{"custom_id":"zz","result":{"type":"expired"}}\n')
      : undefined
  }
}

/** Expects that a run of four batches of two gives so many rows, and then this reason. */
async function givesTheRest(
  { t, dir, clock }: World,
  client: Anthropic,
  reason: { code: string; message: RegExp },
  count = 6,
): Promise<void> {
  const rows: string[] = []
  const records = Array.from({ length: 8 }, (_, i) => ({ text: `question ${i}` }))
  const all = runBatches(records, {
    ...{ client, clock, prompt: '{{text}}', batchSize: 2, concurrency: 4 },
    job: { name: 'test', dir },
  })
  await t.rejects(async () => {
    for await (const { status } of all) rows.push(status)
  }, reason)
  t.same(rows, Array(count).fill('succeeded'))
}

void t.test('an untrusted set does not hold back the rows of other batches', async t => {
  const { world, client } = await worldWith(
    t,
    foreignFor(nth => nth === 1),
  )
  await givesTheRest(world, client, { code: 'CBS_API', message: /are invalid after 5 downloads/ })
})

void t.test('nor does a set that a filter blocks, since the key is good for its batch', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'results', batch: 2, status: 403 }] })
  await givesTheRest(world, world.client, { code: 'CBS_ACCESS', message: /batch 2: .*403/ })
})

void t.test('but a key that is refused for all ends the run at once', async t => {
  const faults = [{ on: ['results', 'retrieve', 'list'], nth: 2, status: 401 }] as const
  const world = await makeWorld(t, { faults })
  await t.rejects(run(world, await world.open(), asks(1)), { code: 'CBS_ACCESS' })
})

void t.test('also where other sets would be fetched', async t => {
  let isRevoked = false
  const world = await makeWorld(t, {
    faults: ({ op }) => {
      isRevoked ||= op === 'results'
      return isRevoked ? { status: 401 } : undefined
    },
  })
  const options = { aggregate: { batchSize: 1 }, fetch: { emits: 'fetched' } } as const
  const error = await run(world, await world.open(), asks(3), options).catch((one: Error) => one)
  t.match(error, { code: 'CBS_ACCESS', message: /cannot fetch the results of batch 1/ })
  t.notMatch(String(error), 'never be downloaded')
})

for (const [others, minutes, message] of [
  ['have ended', 1, /cannot list batches: .*403/],
  ['still run', 30, /cannot list batches: .*403.*; the API may have batch 2/],
] as const)
  void t.test(`an unknown batch, a blocked list, and others that ${others}`, async t => {
    const world = await makeWorld(t, {
      batchTimeMs: ({ number }) => (number === 4 ? minutes : 1) * 60_000,
      faults: [
        { on: 'retrieve', batch: 2, status: 404 },
        { on: 'list', status: 403 },
      ],
    })
    await givesTheRest(world, world.client, { code: 'CBS_ACCESS', message })
  })

void t.test('a create without a reply where the list is blocked stops submission only', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 60_000,
    faults: [
      { on: 'create', nth: 2, when: 'after', reset: true },
      { on: 'list', status: 403 },
    ],
  })
  const message = /cannot list batches: .*403.*; the API may have batch 2/
  await givesTheRest(world, world.client, { code: 'CBS_ACCESS', message }, 2)
})

for (const [name, line, why] of [
  [
    'an unknown custom_id',
    '{"custom_id":"CHARACTERS","result":{"type":"succeeded"}}',
    /has the custom_id %2541/,
  ],
  ['no JSON', 'CHARACTERS', /is not a result/],
] as const)
  void t.test(`a line of megabytes with escapes is not kept (${name})`, async t => {
    // Removing the key from it would take many times its size.
    const long = '%2541\\u0041&amp;'.repeat(200_000)
    const world = await makeWorld(t)
    const client = clientThatChanges(world, (text, path) => {
      if (!path.endsWith('/results')) return text
      return `${line.replace('CHARACTERS', long)}\n`
    })
    const job = await world.open()
    await t.rejects(run({ ...world, client }, job, asks(3)), { code: 'CBS_API', message: why })
    const [kept = ''] = readdirSync(`${job.store.folder}/batches`).filter(one =>
      one.endsWith('.invalid'),
    )
    t.ok(statSync(`${job.store.folder}/batches/${kept}`).size < 100_000)
  })

void t.test('an error of megabytes with escapes spoils its row only', async t => {
  const world = await makeWorld(t, {
    respond: (_, { custom_id }) =>
      custom_id?.endsWith('-1') ? 'fine' : { error: { type: 'api_error', message: 'LONG' } },
  })
  const client = clientThatChanges(world, text =>
    text.replace('LONG', '%2541\\u0041&amp;'.repeat(200_000)),
  )
  const job = await world.open()
  const results = await run({ ...world, client }, job, asks(3))
  t.same(results.map(({ status, error }) => [status, error?.type]).toSorted(), [
    ['errored', 'api_error'],
    ['errored', 'error_too_long'],
    ['succeeded', undefined],
  ])
})

void t.test('untrusted sets in a row keep no other results from being fetched', async t => {
  for (const emits of ['fetched', 'input'] as const) {
    const { world, client } = await worldWith(
      t,
      foreignFor(number => number > 1 && number < 6),
    )
    const job = await world.open()
    const fetched: number[] = []
    job.on('event', event => event.type === 'fetched' && fetched.push(event.number))
    const options = { client, aggregate: { batchSize: 1 }, fetch: { emits } }
    const also = /msgbatch_\w+ cannot be fetched either/g
    const error = await run({ ...world, client }, job, asks(7), options).catch((one: Error) => one)
    t.match(error, { code: 'CBS_API', option: 'adopt' })
    t.equal(String(error).match(also)?.length, 3, String(error))
    t.same(fetched, [1, 6, 7])
    const kept = readdirSync(`${job.store.folder}/batches`).filter(one => one.endsWith('.invalid'))
    t.equal(kept.length, 4)
  }
})

const GATEWAY_KEY = 'gateway-key-0123456789'

function batchFilesOf(folder: string): string {
  const names = readdirSync(`${folder}/batches`)
  return names.map(name => readFileSync(`${folder}/batches/${name}`, 'latin1')).join('')
}

void t.test('a key echoed in a result is neither in rows nor on disk', async t => {
  const message = `bad header x-api-key: ${GATEWAY_KEY}`
  const world = await makeWorld(t, {
    respond: (_, { custom_id }) =>
      custom_id?.endsWith('-1') ? 'fine' : { error: { type: 'invalid_request_error', message } },
  })
  const client = clientOf(world.emulator, GATEWAY_KEY)
  const job = await world.open()
  const results = await run({ ...world, client }, job, asks(3))
  t.match(results, [
    { error: { message: 'bad header x-api-key: ***' } },
    { status: 'succeeded', response: 'fine' },
    { error: { message: 'bad header x-api-key: ***' } },
  ])
  t.notOk(batchFilesOf(job.store.folder).includes(GATEWAY_KEY))
})

void t.test('a key echoed in an invalid result set is not in the file that is kept', async t => {
  // Of a long line, only the start is kept, which may end within the key.
  const half = GATEWAY_KEY.length / 2
  for (const [before, after] of [
    [0, 0],
    [64 * 1024 - half, 0],
    [64 * 1024 - half, 32 * 1024],
    [80 * 1024 - half, 32 * 1024],
  ] as const) {
    const { world } = await worldWith(t, () => undefined)
    const line = `no result of ${'.'.repeat(before)}${GATEWAY_KEY}${'.'.repeat(after)}\n`
    const fetch: typeof world.emulator.fetch = async (input, init) =>
      String(input).endsWith('/results')
        ? new Response(line)
        : await world.emulator.fetch(input, init)
    const client = clientOf({ ...world.emulator, url: world.emulator.url, fetch }, GATEWAY_KEY)
    const job = await world.open()
    await t.rejects(run({ ...world, client }, job, asks(3)), { code: 'CBS_API' })
    const kept = batchFilesOf(job.store.folder)
    t.match(kept, /no result of \.*/)
    t.notOk(kept.includes(GATEWAY_KEY.slice(0, half)))
  }
})

/** A key whose characters JSON may escape, and the forms in which a gateway may echo it. */
const ODD_KEY = 'n"w/AbCd+1234/\\xyz=='
const uni = (text: string): string =>
  [...text].map(one => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
const inside = (text: string): string => JSON.stringify(text).slice(1, -1)
const ECHOES: Readonly<Record<string, string>> = {
  plain: inside(ODD_KEY),
  slashes: inside(ODD_KEY).replaceAll('/', '\\/'),
  'code points': uni(ODD_KEY),
  'upper-case code points': uni(ODD_KEY).replaceAll(/(?<=u00)../g, hex => hex.toUpperCase()),
  'a code point': `${uni('n')}${inside(ODD_KEY.slice(1))}`,
  'JSON in JSON': inside(JSON.stringify({ key: ODD_KEY })),
  'code points in JSON in JSON': inside(`{"key":"${uni(ODD_KEY)}"}`),
  'JSON in JSON in JSON': inside(JSON.stringify(JSON.stringify([`a/${ODD_KEY}`]))),
  'after backslashes': `${'\\\\'.repeat(7)}${inside(ODD_KEY)}`,
  'after a line end': `\\n${inside(ODD_KEY)}`,
  'after an escape that could begin it': `\\${inside(ODD_KEY)}`,
  percent: encodeURIComponent(ODD_KEY),
  'lower-case percent': encodeURIComponent(ODD_KEY).replaceAll(/%../g, one => one.toLowerCase()),
  'double percent': encodeURIComponent(encodeURIComponent(ODD_KEY)),
  entities: [...ODD_KEY].map(one => `&#${one.charCodeAt(0)};`).join(''),
  'URL-safe base64': Buffer.from(`x-api-key:${ODD_KEY}`).toString('base64url'),
  base64: Buffer.from(ODD_KEY).toString('base64').replaceAll('/', '\\/'),
  'base64 of a login': Buffer.from(`user:${ODD_KEY}`).toString('base64'),
  'base64 of another login': Buffer.from(`user1:${ODD_KEY}`).toString('base64'),
}

/** The key in any text whose escapes were decoded up to five times, or as base64. */
function revealsKey(text: string): boolean {
  let rest = text
  for (let depth = 0; depth < 5; depth++) {
    const hasBase64 = [...rest.matchAll(/[\w+/-]{8,}=*/g)].some(([word]) =>
      Buffer.from(word, 'base64').includes(ODD_KEY),
    )
    if (rest.includes(ODD_KEY) || hasBase64) return true
    rest = rest.replaceAll(
      /\\(?:u([\da-f]{4})|(.))/gi,
      (_, hex: string | undefined, other: string) =>
        hex === undefined ? other : String.fromCharCode(Number.parseInt(hex, 16)),
    )
    rest = rest.replaceAll(/%([\da-f]{2})|&#(\d+);/gi, (_, hex?: string, code?: string) =>
      String.fromCharCode(hex === undefined ? Number(code) : Number.parseInt(hex, 16)),
    )
  }
  return false
}

for (const [name, echo] of Object.entries(ECHOES)) {
  void t.test(`a key echoed in another form is neither in rows nor on disk: ${name}`, async t => {
    const world = await makeWorld(t, {
      respond: (_, { custom_id }) =>
        custom_id?.endsWith('-1')
          ? 'a \\ b'
          : { error: { type: 'invalid_request_error', message: 'bad key KEY!' } },
    })
    const { emulator } = world
    const fetch: typeof emulator.fetch = async (input, init) => {
      const response = await emulator.fetch(input, init)
      if (!String(input).endsWith('/results')) return response
      return new Response((await response.text()).replaceAll('KEY', () => echo))
    }
    const client = clientOf({ ...emulator, url: emulator.url, fetch }, ODD_KEY)
    const job = await world.open()
    const results = await run({ ...world, client }, job, asks(3))
    t.same(
      results.map(({ status }) => status),
      ['errored', 'succeeded', 'errored'],
    )
    t.equal(results[1]?.response, 'a \\ b')
    t.match(results[0]?.error?.message, /^bad key [^]*!$/)
    for (const { raw, error } of results) {
      JSON.parse(String(raw))
      t.notOk(revealsKey(`${raw} ${error?.message}`), String(raw))
    }
    t.notOk(revealsKey(batchFilesOf(job.store.folder)))
  })
}

void t.test('an invalid result set is kept without the key in any form', async t => {
  for (const [name, echo] of Object.entries(ECHOES)) {
    for (const line of [
      `{"custom_id":"${echo}","result":{"type":"succeeded"}}`,
      `<p>${echo}</p>`,
    ]) {
      const { world } = await worldWith(t, () => undefined)
      const fetch: typeof world.emulator.fetch = async (input, init) =>
        String(input).endsWith('/results')
          ? new Response(`${line}\n`)
          : await world.emulator.fetch(input, init)
      const client = clientOf({ ...world.emulator, url: world.emulator.url, fetch }, ODD_KEY)
      const job = await world.open({
        name: `job-${name.replaceAll(/\W/g, '-')}-${line[0] === '<'}`,
      })
      const cause: unknown = await run({ ...world, client }, job, asks(1)).catch((e: unknown) => e)
      t.match(cause, { code: 'CBS_API' })
      t.notOk(revealsKey(String(cause)), String(cause))
      t.notOk(revealsKey(batchFilesOf(job.store.folder)), name)
      await job.close()
    }
  }
})
