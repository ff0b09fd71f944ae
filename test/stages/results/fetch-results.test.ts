import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { echo, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import type { LineFault } from '../../../lib/emulator/index.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { Readable } from 'node:stream'
import { openBelow } from '../../support/descriptors.ts'
import { record, watched } from '../../support/jobs.ts'
import { until } from '../../support/waiting.ts'
import {
  KEY,
  ask,
  asks,
  callsOf,
  clientOf,
  journalOf,
  makeWorld,
  oneBill,
  reopened,
  run,
  said,
  type World,
} from '../../support/world.ts'

const DAY = 24 * 60 * 60 * 1000
const MINUTE = 60 * 1000
const answers = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${i}: succeeded ${echo(`question ${i}`)}`)

void t.test('an invalid option is rejected at once', async t => {
  const { client } = await makeWorld(t)
  t.throws(() => fetchResults({ client, settle: 1.5 }), { code: 'CBS_OPTION' })
})

/** Faults of the first download that a second one heals. */
const healed: readonly [string, NonNullable<EmulatorOptions['faults']>][] = [
  ['cut in a line (N17)', [{ on: 'results', nth: 1, lines: { cutInside: 3 } }]],
  ['cut at a line end (N20)', [{ on: 'results', nth: [1, 2, 3], lines: { cutAfter: 2 } }]],
  ['shorter than it says (N20)', [{ on: 'results', nth: 1, lines: { shortBy: 10 } }]],
  ['a gzip that is cut (N19)', [{ on: 'results', nth: 1, lines: { gzipCut: 60 } }]],
  ['a line left out', [{ on: 'results', nth: 1, lines: { drop: 2 } }]],
  ['a line twice', [{ on: 'results', nth: 1, lines: { double: 2 } }]],
  ['a line twice with other words', [{ on: 'results', nth: 1, lines: { conflict: 2 } }]],
  ['garbage for a line', [{ on: 'results', nth: 1, lines: { garbage: 4 } }]],
  ["a stranger's line", [{ on: 'results', nth: 1, lines: { unknownId: 1 } }]],
  ['a reset in the middle', [{ on: 'results', nth: 1, resetAfterBytes: 200 }]],
  ['silence in the middle (N31)', [{ on: 'results', nth: 1, stallAfterBytes: 200 }]],
  ['silence before it begins (N38)', [{ on: 'results', nth: 1, stallMs: 'forever' }]],
  ['a page of a proxy (N32)', [{ on: 'results', nth: 1, body: '<html>hello</html>' }]],
  ['a 503', [{ on: 'results', nth: 1, status: 503 }]],
  ['a 404 for a moment', [{ on: 'results', nth: [1, 2], status: 404 }]],
  ['a stray 400', [{ on: 'results', nth: 1, status: 400 }]],
]

for (const [name, faults] of healed) {
  void t.test(
    `a download that is ${name} is made again, and no row comes of the bad one`,
    async t => {
      const world = await makeWorld(t, { faults })
      const job = await world.open()
      const waits: string[] = []
      t.same(said(await run(world, job, asks(5), { waits })), answers(5))
      t.not(waits.length, 0)
      t.equal(callsOf(world.emulator, 'create')[200], 1)
    },
  )
}

for (const [name, lines] of [
  ['reversed (N24)', { reversed: true }],
  ['with blank lines', { blank: [1, 3] }],
  ['gzipped', { gzipCut: 0 }],
] as [string, LineFault][]) {
  void t.test(`results that come ${name} are given in input order at once`, async t => {
    const world = await makeWorld(t, { faults: [{ on: 'results', lines }] })
    const job = await world.open()
    const waits: string[] = []
    t.same(said(await run(world, job, asks(5), { waits })), answers(5))
    t.same(callsOf(world.emulator, 'results'), { 200: 1 }, waits.join())
  })
}

/** A client whose downloads are changed; `nth` counts from 1, `sinceMs` from the first one. `downloads` has the time of each. */
function clientWithSets(
  { emulator, clock }: World,
  change: (set: string, nth: number, sinceMs: number) => string,
  changeBatch: (batch: string) => string = batch => batch,
): { readonly client: World['client']; readonly downloads: number[] } {
  const downloads: number[] = []
  const fetch: typeof emulator.fetch = async (input, init) => {
    const response = await emulator.fetch(input, init)
    const text = await response.text()
    if (!String(input).endsWith('/results')) return new Response(changeBatch(text), response)
    downloads.push(clock.elapsed())
    const [first = 0] = downloads
    return new Response(change(text, downloads.length, clock.elapsed() - first))
  }
  return { client: clientOf({ ...emulator, url: emulator.url, fetch }), downloads }
}

const firstLine = (set: string): string => set.slice(0, set.indexOf('\n') + 1)

for (const [name, cut] of [
  ['empty', () => ''],
  ['cut at a line end', firstLine],
] as const) {
  for (const minutes of [0.1, 1, 9.5]) {
    void t.test(`a set that is ${name} for ${minutes} minutes loses no answer`, async t => {
      const world = await makeWorld(t)
      const { client } = clientWithSets(world, (set, _, sinceMs) =>
        sinceMs < minutes * MINUTE ? cut(set) : set,
      )
      const job = await world.open()
      const waits: string[] = []
      t.same(said(await run({ ...world, client }, job, asks(5), { waits })), answers(5))
      t.match(waits[0], /are not complete \([01] of 5 lines\); downloading them again/)
      t.equal(job.batch(1).fetched?.why, null)
    })
  }
}

void t.test(
  'a set that stays short is final after the settle time, not after a jump of the clock',
  async t => {
    const world = await makeWorld(t)
    const { client } = clientWithSets(world, (set, nth) => {
      if (nth === 3) world.clock.jump(3 * 24 * 60 * MINUTE)
      return firstLine(set)
    })
    const job = await world.open()
    const before = world.clock.elapsed()
    const results = await run({ ...world, client }, job, asks(5), { fetch: { settle: 3 * MINUTE } })
    t.equal(results.filter(({ status }) => status === 'unanswered').length, 4)
    t.match(results.find(({ status }) => status === 'unanswered')?.error?.message, /without a line/)
    const tookMs = world.clock.elapsed() - before
    t.ok(tookMs >= 3 * MINUTE && tookMs < 6 * MINUTE, `${tookMs} ms`)
  },
)

void t.test('a settle time of 0 leaves five downloads', async t => {
  const world = await makeWorld(t)
  const { client, downloads } = clientWithSets(world, firstLine)
  const job = await world.open()
  const results = await run({ ...world, client }, job, asks(5), { fetch: { settle: 0 } })
  t.equal(results.filter(({ status }) => status === 'unanswered').length, 4)
  t.equal(downloads.length, 5)
})

for (const archivedAt of ['', '0001-01-01T00:00:00Z', 'never', '2026-12-19T12:00:00Z'])
  void t.test(`a batch that was archived at '${archivedAt}' is not archived`, async t => {
    const world = await makeWorld(t)
    const { client } = clientWithSets(
      world,
      (set, nth) => (nth < 8 ? firstLine(set) : set),
      text => text.replaceAll('"archived_at":null', `"archived_at":"${archivedAt}"`),
    )
    const job = await world.open()
    t.same(said(await run({ ...world, client }, job, asks(5))), answers(5))
  })

void t.test('a short set is final after five downloads if the batch is archived', async t => {
  const world = await makeWorld(t)
  const { client, downloads } = clientWithSets(world, firstLine, text =>
    text.replaceAll('"archived_at":null', '"archived_at":"2026-11-20T12:00:01Z"'),
  )
  const job = await world.open()
  const results = await run({ ...world, client }, job, asks(5))
  t.equal(results.filter(({ status }) => status === 'unanswered').length, 4)
  t.equal(downloads.length, 5)
})

for (const counts of ['"processing":4,"succeeded":1', '"processing":0,"succeeded":0'])
  for (const lines of [0, 5])
    void t.test(`a set of ${lines} lines waits for counts that are late (${counts})`, async t => {
      const world = await makeWorld(t)
      let isLate = true
      const { client } = clientWithSets(
        world,
        (set, nth) => {
          isLate = nth < 9
          return isLate && lines === 0 ? '' : set
        },
        text => (isLate ? text.replaceAll('"processing":0,"succeeded":5', counts) : text),
      )
      const job = await world.open()
      t.same(said(await run({ ...world, client }, job, asks(5))), answers(5))
      t.match(await world.emulator.ledger.totals(), { accepted: 5 })
    })

void t.test(
  'an invalid set is rejected after five downloads, however many short ones came before',
  async t => {
    const world = await makeWorld(t)
    const { client, downloads } = clientWithSets(world, (set, nth) =>
      nth <= 6 ? '' : `${set}no\n`,
    )
    const job = await world.open()
    await t.rejects(run({ ...world, client }, job, asks(5)), {
      code: 'CBS_API',
      message: /are invalid after 5 downloads/,
    })
    t.equal(downloads.length, 12, 'the last one shows whose results they are')
  },
)

void t.test('a set in another encoding is invalid, since characters would be lost', async t => {
  const world = await makeWorld(t, { respond: () => 'Zoë' })
  const fetch: typeof world.emulator.fetch = async (input, init) => {
    const response = await world.emulator.fetch(input, init)
    if (!String(input).endsWith('/results')) return response
    return new Response(Buffer.from(await response.text(), 'latin1'))
  }
  const client = world.client.withOptions({ fetch })
  await t.rejects(run({ ...world, client }, await world.open(), asks(3)), {
    code: 'CBS_API',
    message: /are invalid after 5 downloads: the line at byte 0 is not UTF-8/,
  })
})

void t.test(
  'a set that stays short until the settle time leaves the missing rows unanswered',
  async t => {
    const world = await makeWorld(t, {
      order: 'input',
      faults: [{ on: 'results', lines: { drop: [2, 4] } }],
    })
    const job = await world.open()
    const results = await run(world, job, asks(5))
    t.same(
      results.map(({ status }) => status),
      ['succeeded', 'unanswered', 'succeeded', 'unanswered', 'succeeded'],
    )
    t.match(results[1]?.error, { type: 'unanswered', message: /without a line for this request/ })
    t.equal(results[1]?.batchId, job.batch(1).id)
    t.ok((callsOf(world.emulator, 'results')[200] ?? 0) > 10)
    t.ok(world.clock.elapsed() >= 10 * MINUTE)
  },
)

for (const [name, faults, lost] of [
  ['an id that was not sent (N22)', [{ on: 'results', lines: { unknownId: 2 } }], 'unanswered'],
  [
    'counts with more answers',
    [
      {
        ...{ on: 'create', counts: { errored: -1, succeeded: 1 } },
        errored: [{ containing: 'question 1', type: 'invalid_request_error' }],
      },
    ],
    'errored',
  ],
] as [string, NonNullable<EmulatorOptions['faults']>, string][]) {
  void t.test(
    `a set that stays invalid by ${name} is CBS_API, and is kept also through the next start`,
    async t => {
      const world = await makeWorld(t, { faults })
      const job = await world.open()
      await t.rejects(run(world, job, asks(3)), {
        code: 'CBS_API',
        message: /are invalid after 5 downloads: .* resume the job with `adopt`: msgbatch_\w+\./,
      })
      await job.close()
      const again = await world.open()
      t.same(
        readdirSync(`${again.store.folder}/batches`).filter(file => file.endsWith('.invalid')),
        ['1.results.invalid'],
      )
      t.match(readFileSync(`${again.store.folder}/batches/1.results.invalid`, 'utf8'), 'custom_id')
      t.notOk(journalOf(again.store.folder).some(({ type }) => type === 'fetched'))
      const adopt = [again.batch(1).id as string]
      const results = await run(world, again, asks(3), { fetch: { adopt } })
      t.same(
        results.map(({ status }) => status).sort(),
        ['succeeded', 'succeeded', lost].sort(),
        'until the user adopts it',
      )
      t.match(await world.emulator.ledger.totals(), { accepted: 3 })
    },
  )
}

void t.test(
  'counts that call an answer a failure do not matter, since no answer is missing',
  async t => {
    const world = await makeWorld(t)
    const fetch: typeof world.emulator.fetch = async (input, init) => {
      const response = await world.emulator.fetch(input, init)
      if (String(input).includes('/results')) return response
      const text = await response.text()
      return new Response(
        text.replace('"succeeded":3,"errored":0', '"succeeded":2,"errored":1'),
        response,
      )
    }
    const client = clientOf({ ...world.emulator, url: world.emulator.url, fetch })
    const job = await world.open()
    const waits: string[] = []
    t.same(said(await run({ ...world, client }, job, asks(3), { waits })), answers(3))
    t.same(waits, [])
    t.same(callsOf(world.emulator, 'results'), { 200: 1 })
  },
)

void t.test(
  'a result of an unknown type is an errored row that names it, with its raw line (N23)',
  async t => {
    const world = await makeWorld(t, {
      order: 'input',
      faults: [{ on: 'results', lines: { unknownType: 1 } }],
    })
    const [first] = await run(world, await world.open(), asks(2))
    t.match(first, {
      status: 'errored',
      error: { type: 'unknown_result_type', message: /postponed/ },
    })
    t.match(String(first?.raw), 'postponed')
  },
)

for (const resultsUrl of ['https://evil.example', 'http://127.0.0.1:1', 'https://127.0.0.1']) {
  void t.test(
    `of a results_url at ${resultsUrl} the same path of the base URL is read, with the key (N25)`,
    async t => {
      const world = await makeWorld(t, { faults: [{ on: 'create', resultsUrl }] })
      const asked: string[] = []
      const spy: typeof fetch = (url, init) => {
        asked.push(String(url))
        return world.emulator.fetch(url, init)
      }
      const client = clientOf(world.emulator).withOptions({ fetch: spy })
      const job = await world.open()
      t.same(said(await run(world, job, asks(2), { client })), answers(2))
      t.same(
        new Set(asked.map(url => new URL(url).origin)),
        new Set([new URL(world.emulator.url).origin]),
      )
    },
  )
}

for (const [what, wrong] of [
  ['is none', 'http://'],
  ['leads nowhere at first', '/v1/messages/batches/msgbatch_x/results'],
  ['leads to the results of another batch at first', 'foreign'],
] as const) {
  void t.test(`a results_url that ${what} does not lose the results`, async t => {
    const world = await makeWorld(t)
    const foreign = await world.emulator.addForeign({ requests: 2 })
    let looks = 0
    const spoil: typeof fetch = async (url, init) => {
      const response = await world.emulator.fetch(url, init)
      if (!/batches\/[^/]+$/.test(String(url)) || ++looks > 1) return response
      const results_url = wrong === 'foreign' ? `/v1/messages/batches/${foreign}/results` : wrong
      return Response.json({ ...(await response.json()), results_url })
    }
    const client = clientOf(world.emulator).withOptions({ fetch: spoil })
    t.same(
      (await run(world, await world.open(), asks(2), { client })).map(({ status }) => status),
      ['succeeded', 'succeeded'],
    )
  })
}

void t.test('a redirect of a download is rejected (N26, N39)', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'results', redirect: 'https://evil.example/' }],
  })
  await t.rejects(run(world, await world.open(), asks(2)), {
    code: 'CBS_API',
    message: /redirects are not followed/,
  })
})

void t.test(
  'results deleted after 29 days leave their rows unanswered, with the dates (N27)',
  async t => {
    const world = await makeWorld(t, {
      faults: [
        { on: 'results', nth: 1, status: 401 },
        { on: 'create', archived: false },
      ],
    })
    const job = await world.open()
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_ACCESS' })
    await job.close()
    world.clock.pass(30 * DAY)
    world.emulator.addFault({ on: 'results', status: 404 })
    const again = await world.open()
    const began = world.clock.elapsed()
    const results = await run(world, again, asks(2))
    t.same(
      results.map(({ status }) => status),
      ['unanswered', 'unanswered'],
    )
    t.match(results[0]?.error?.message, /404 on 2026-12-20.*created on 2026-11-20.*29 days/)
    t.ok(world.clock.elapsed() - began < 60_000)
  },
)

void t.test('a 404 on recent results is retried during the settle time', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'results', status: 404 }] })
  const began = world.clock.elapsed()
  const results = await run(world, await world.open(), asks(2), { fetch: { settle: 120_000 } })
  t.same(
    results.map(({ status }) => status),
    ['unanswered', 'unanswered'],
  )
  t.ok(world.clock.elapsed() - began >= 120_000)
})

void t.test('the 404 of another server does not say that results are gone', async t => {
  for (const body of [
    '<html>no such page</html>',
    '{"error":{"message":"no such route","type":"invalid_request_error"}}',
    '{"error":{"code":404,"message":"no such route","status":"NOT_FOUND"}}',
    '{"type":"error","message":"no such route"}',
  ]) {
    let isBlocked = true
    const world = await makeWorld(t, {
      faults: ({ op }) => (isBlocked && op === 'results' ? { status: 404, body } : undefined),
    })
    const job = await world.open()
    const reason = /cannot fetch the results of batch 1: the API answered 404/
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_API', message: reason }, body)
    isBlocked = false
    t.same(said(await run(world, await reopened(world, job), asks(2))), answers(2))
    await oneBill(world, 2)
  }
})

void t.test(
  'a batch that has ended, but still has requests in processing, is not given up',
  async t => {
    const world = await makeWorld(t, { batchTimeMs: 60 * MINUTE })
    // A gateway that translates the state of a batch wrongly; the API has no results yet.
    const fetch: typeof world.emulator.fetch = async (input, init) => {
      const response = await world.emulator.fetch(input, init)
      const isEarly = world.clock.elapsed() < 60 * MINUTE
      if (isEarly && String(input).endsWith('/results'))
        return Response.json(
          { type: 'error', error: { type: 'not_found_error', message: 'no results' } },
          { status: 404 },
        )
      const text = (await response.text()).replaceAll('"in_progress"', '"ended"')
      return new Response(text, { status: response.status, headers: response.headers })
    }
    const client = world.client.withOptions({ fetch })
    t.same(said(await run({ ...world, client }, await world.open(), asks(2))), answers(2))
    await oneBill(world, 2)
  },
)

void t.test('two 404s with an outage between them are not one long 404', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 1000,
    faults: ({ op, nth }) => {
      if (op !== 'results' || nth > 12) return undefined
      return { status: nth === 1 || nth === 12 ? 404 : 503 }
    },
  })
  const began = world.clock.elapsed()
  const results = await run(world, await world.open(), asks(2), { fetch: { settle: 120_000 } })
  t.same(
    results.map(({ status }) => status),
    ['succeeded', 'succeeded'],
  )
  t.ok(world.clock.elapsed() - began > 120_000)
})

void t.test('a fetched set is emitted again without a call, in the same order', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: ({ number }) => (number === 1 ? 60_000 : 1000),
  })
  const job = await world.open()
  const problem = { type: 'bad', message: 'no' }
  const input = asks(7).map((request, i) =>
    i === 3 ? { record: record({ i }, i + 1), problem } : request,
  )
  const first = await run(world, job, input as never, { aggregate: { batchSize: 3 } })
  await job.close()
  const calls = world.emulator.ledger.calls()
  const again = await world.open()
  t.same(said(await run(world, again, input as never)), said(first))
  t.same(world.emulator.ledger.calls(), calls)
})

void t.test(
  'a canceled batch gives canceled rows, an expired one expired rows (N29, N30)',
  async t => {
    const world = await makeWorld(t, {
      respond: (_, { custom_id }) => (custom_id === 'x' ? { canceled: true } : { expired: true }),
    })
    const results = await run(world, await world.open(), [ask('a', 'x'), ask('b')])
    t.same(
      results.map(({ status, error, customId }) => [status, error?.type, customId === 'x']),
      [
        ['canceled', 'canceled', true],
        ['expired', 'expired', false],
      ],
    )
  },
)

/** Puts an ended batch of another tool into a job, as its only one. */
async function foreignBatch(
  { emulator }: World,
  job: StoredJob,
  customIds: string[],
): Promise<void> {
  const id = await emulator.addForeign({ customIds })
  const [records, requests] = [customIds.length, customIds.length]
  const counts = { processing: 0, succeeded: requests, errored: 0, canceled: 0, expired: 0 }
  const sealed = { number: 1, attempt: 1, next: 0, records, requests, bytes: 0, hash: '' }
  await job.note({ type: 'sealed', ...sealed, foreign: true }, true)
  await job.note({ type: 'submitted', number: 1, id, at: 0, adopted: true }, true)
  const resultsUrl = `${emulator.url}/v1/messages/batches/${id}/results`
  await job.note({ type: 'ended', number: 1, counts, resultsUrl, at: 0 }, true)
}

void t.test(
  'a batch of another tool is printed with its own ids, also the second time',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    await foreignBatch(world, job, ['their-1', 'their-2', 'their-3'])
    for (const time of ['first', 'second']) {
      const results: Result[] = []
      for await (const result of Readable.from([job.endedBatch(1)]).pipe(
        fetchResults({ client: world.client }),
      ))
        results.push(result)
      t.same(
        results.map(({ customId, status }) => `${customId} ${status}`).sort(),
        ['their-1 succeeded', 'their-2 succeeded', 'their-3 succeeded'],
        time,
      )
      t.equal(results[0]?.record, undefined)
      t.ok(results.at(-1)?.last)
    }
  },
)

void t.test(
  'a disk failure during a download is CBS_DISK, and the download is repeated later (F02, C06)',
  async t => {
    let failing = true
    const disk = watched((what, path) => {
      if (failing && what === 'write' && path.endsWith('.download'))
        throw new BatchStreamError('CBS_DISK', 'ENOSPC')
    })
    const world = await makeWorld(t)
    const job = await world.open({ disk })
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_DISK' })
    await job.close()
    t.same(openBelow(world.dir), [])
    failing = false
    t.same(said(await run(world, await world.open(), asks(2))), answers(2))
  },
)

void t.test('the key of another workspace does not make results look deleted (N14)', async t => {
  const world = await makeWorld(t, {
    keys: { a: 'wrkspc_a', b: 'wrkspc_b' },
    faults: [{ on: 'results', nth: 1, status: 401 }],
  })
  const job = await world.open()
  await t.rejects(run(world, job, asks(2), { client: clientOf(world.emulator, 'a') }), {
    code: 'CBS_ACCESS',
  })
  await job.close()
  const again = await world.open()
  await t.rejects(run(world, again, asks(2), { client: clientOf(world.emulator, 'b') }), {
    code: 'CBS_ACCESS',
    message: /wrkspc_b/,
  })
})

void t.test('a stage that is destroyed during a download or with a slow reader closes', async t => {
  for (const fault of [undefined, { stallAfterBytes: 100 }]) {
    let effect: typeof fault
    let met = false
    const world = await makeWorld(t, {
      faults: ({ op }) => {
        if (op !== 'results' || !effect) return undefined
        met = true
        return effect
      },
    })
    const job = await world.open()
    await run(world, job, asks(100))
    const number = 1
    if (fault) {
      await job.note(
        {
          type: 'sealed',
          number: 2,
          attempt: 1,
          next: 100,
          records: 100,
          requests: 100,
          bytes: 0,
          hash: '',
          foreign: true,
        },
        false,
      )
      await job.note(
        { type: 'submitted', number: 2, id: job.batch(1).id as string, at: 0, adopted: true },
        false,
      )
      const { counts, resultsUrl } = job.batch(1)
      await job.note({ type: 'ended', number: 2, counts, resultsUrl, at: 0 }, false)
      effect = fault
    }
    const stage = fetchResults({ client: world.client })
    stage.write(job.endedBatch(fault ? 2 : number))
    if (fault) await until(() => met)
    else await new Promise(resolve => stage.once('readable', resolve))
    stage.destroy()
    await new Promise(resolve => stage.once('close', resolve))
    await job.close()
    t.same(openBelow(world.dir), [])
    t.equal(world.clock.sleepers.size, 0)
  }
})

void t.test('the key is in no file of a job (invariant 5)', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await run(world, job, asks(2))
  for (const file of readdirSync(job.store.folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.includes('.')) continue
    t.notOk(readFileSync(`${job.store.folder}/${file}`).includes(KEY), file)
  }
})

void t.test(
  'a body that breaks off with a value that is not an error is fetched again',
  async t => {
    const world = await makeWorld(t)
    let downloads = 0
    const broken: typeof fetch = async (url, init) => {
      const answer = await world.emulator.fetch(url, init)
      if (!String(url).endsWith('/results') || ++downloads > 1) return answer
      const body = new ReadableStream({ pull: controller => controller.error('gone') })
      return new Response(body, { headers: answer.headers })
    }
    const client = clientOf(world.emulator).withOptions({ fetch: broken })
    const waits: string[] = []
    t.same(said(await run(world, await world.open(), asks(2), { client, waits })), answers(2))
    t.same([downloads, waits], [2, ['gone']])
  },
)

void t.test(
  'an API that is down during the workspace check is waited for and reported',
  async t => {
    const keys = { [KEY]: 'wrkspc_a' }
    const world = await makeWorld(t, { keys })
    const first = await world.open()
    const stop = new AbortController()
    first.on('event', ({ type }) => type === 'ended' && setImmediate(() => stop.abort()))
    world.emulator.addFault({ on: 'results', status: 503, times: 1 })
    await t.rejects(run(world, first, asks(2), { signal: stop.signal }))
    await first.close()
    const job = await world.open()
    world.emulator.addFault({ on: 'list', status: 503, times: 1 })
    const waits: string[] = []
    const results: Result[] = []
    const stage = fetchResults({ client: world.client, onWait: (_, why) => waits.push(why) })
    for await (const one of Readable.from([job.endedBatch(1)]).pipe(stage)) results.push(one)
    t.same(said(results), answers(2))
    t.match(waits, [/^the API answered 503/])
  },
)

void t.test('a result set of another tool with a duplicate line is fetched again', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await foreignBatch(world, job, ['one', 'two'])
  world.emulator.addFault({ on: 'results', nth: 1, lines: { double: 1 } })
  const stage = fetchResults({ client: world.client })
  const seen: unknown[] = []
  for await (const { customId } of Readable.from([job.endedBatch(1)]).pipe(stage))
    seen.push(customId)
  t.same(seen.sort(), ['one', 'two'])
  t.equal(callsOf(world.emulator, 'results')[200], 2)
})

void t.test('a result set of another tool that stays damaged is an error, and is kept', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await foreignBatch(world, job, ['one', 'two'])
  world.emulator.addFault({ on: 'results', lines: { double: 1 } })
  const stage = Readable.from([job.endedBatch(1)]).pipe(fetchResults({ client: world.client }))
  const message = /are invalid after 5 downloads: the custom_id .* occurs twice.*none of their rows/
  await t.rejects(stage.toArray(), { code: 'CBS_API', message })
  t.same(callsOf(world.emulator, 'list'), {}, 'it was never sent, so it has no other id')
})

void t.test('a damaged set is fetched again, also if the batch cannot be retrieved', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'results', nth: 1, lines: { double: 1 } }] })
  const job = await world.open()
  job.on(
    'event',
    ({ type }) =>
      type === 'ended' && world.emulator.addFault({ on: 'retrieve', status: 404, times: 1 }),
  )
  const waits: string[] = []
  t.same(said(await run(world, job, asks(2), { waits })), answers(2))
  t.match(waits, [/the results of batch .* are not complete \(the custom_id .* occurs twice\)/])
  t.equal((await world.emulator.ledger.totals()).billedTwice, 0)
})

void t.test('the message of an answer that was refused does not echo the key', async t => {
  const stops = ['refusal', KEY, 'end_turn']
  const world = await makeWorld(t, {
    respond: params => {
      const stop = stops[Number(/\d/.exec(JSON.stringify(params.messages))?.[0])]
      const details = { type: 'refusal', explanation: `your key is ${KEY}` }
      // A gateway may write anything there.
      return { stop_reason: stop as 'refusal', stop_details: details as never }
    },
  })
  const results = await run(world, await world.open(), asks(3))
  t.same(
    results.map(({ status, error }) => [status, error?.message]),
    [
      ['refused', 'the model refused: your key is ***'],
      ['incomplete', 'the answer was cut: stop_reason is ***'],
      ['succeeded', undefined],
    ],
  )
})
