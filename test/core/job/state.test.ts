import t from 'tap'
import type { JobEvent } from '../../../lib/core/job/event.ts'
import { apply, fold, unbatchedGaps, VERSION, type Phase } from '../../../lib/core/job/state.ts'

const opened = { type: 'opened', version: VERSION, run: 'r', at: 1 } as const satisfies JobEvent
const counts = { processing: 0, succeeded: 1, errored: 0, canceled: 0, expired: 0 }
const part = (number: number) => ({
  number,
  attempt: 1,
  next: 1,
  records: 1,
  requests: 1,
  bytes: 9,
  hash: 'h',
})

/** One event of each kind about batch 1. */
const EVENTS = {
  sealed: { type: 'sealed', ...part(1) },
  split: { type: 'split', number: 1, into: [part(2), part(3)] },
  armed: { type: 'armed', number: 1, at: 2, serverAt: null },
  disarmed: { type: 'disarmed', number: 1 },
  failed: { type: 'failed', number: 1, sentAt: 2, at: 3 },
  candidate: { type: 'candidate', number: 1, id: 'x' },
  ruledOut: { type: 'ruledOut', number: 1, id: 'x' },
  asked: { type: 'asked', number: 1 },
  submitted: { type: 'submitted', number: 1, id: 'a', at: 3, adopted: false },
  missing: { type: 'missing', number: 1, since: { at: 5, serverAt: null } },
  adopted: { type: 'submitted', number: 1, id: 'b', at: 9, adopted: true },
  ended: { type: 'ended', number: 1, counts, resultsUrl: 'u', at: 4 },
  fetched: { type: 'fetched', number: 1, lines: 1, bytes: 5, why: null },
  written: { type: 'written', number: 1, out: 10, errors: 2 },
} as const satisfies Record<string, JobEvent>

type Kind = keyof typeof EVENTS

/** How a batch reaches each phase, and which phase each event leads to; all other events are damage. */
const table: readonly {
  phase: Phase | 'nowhere'
  by: readonly Kind[]
  to: Partial<Record<Kind, Phase>>
}[] = [
  { phase: 'nowhere', by: [], to: { sealed: 'sealed' } },
  {
    phase: 'sealed',
    by: ['sealed'],
    to: {
      split: 'void',
      armed: 'armed',
      failed: 'sealed',
      submitted: 'submitted',
      adopted: 'submitted',
      fetched: 'fetched',
    },
  },
  {
    phase: 'armed',
    by: ['sealed', 'armed'],
    to: {
      split: 'void',
      disarmed: 'sealed',
      failed: 'armed',
      candidate: 'armed',
      ruledOut: 'armed',
      asked: 'armed',
      submitted: 'submitted',
      adopted: 'submitted',
      ended: 'ended',
    },
  },
  {
    phase: 'submitted',
    by: ['sealed', 'armed', 'submitted'],
    to: {
      candidate: 'submitted',
      ruledOut: 'submitted',
      asked: 'submitted',
      missing: 'submitted',
      adopted: 'submitted',
      ended: 'ended',
      fetched: 'fetched',
    },
  },
  {
    phase: 'ended',
    by: ['sealed', 'armed', 'submitted', 'ended'],
    to: {
      candidate: 'ended',
      ruledOut: 'ended',
      asked: 'ended',
      adopted: 'submitted',
      fetched: 'fetched',
    },
  },
  {
    phase: 'fetched',
    by: ['sealed', 'armed', 'submitted', 'ended', 'fetched'],
    to: { asked: 'fetched', written: 'written' },
  },
  {
    phase: 'written',
    by: ['sealed', 'armed', 'submitted', 'ended', 'fetched', 'written'],
    to: { asked: 'written' },
  },
  { phase: 'void', by: ['sealed', 'split'], to: {} },
]

for (const { phase, by, to } of table) {
  for (const [kind, event] of Object.entries(EVENTS)) {
    // The keys of EVENTS are its kinds.
    const next = to[kind as Kind]
    void t.test(`a batch that is ${phase} and ${kind} is ${next ?? 'damage'}`, async t => {
      const state = fold([opened, ...by.map(step => EVENTS[step])])
      t.equal(state?.batches.get(1)?.phase, phase === 'nowhere' ? undefined : phase)
      if (next === undefined)
        t.throws(() => apply(state, event), { code: 'CBS_STATE', message: /damaged/ })
      else t.equal(apply(state, event).batches.get(1)?.phase, next)
    })
  }
}

void t.test('a decision counts for one create of a batch', async t => {
  const asked = [opened, EVENTS.sealed, EVENTS.armed, EVENTS.asked]
  t.equal(fold(asked)?.batches.get(1)?.asked, true)
  for (const then of [EVENTS.disarmed, EVENTS.submitted, EVENTS.adopted])
    t.equal(fold([...asked, then])?.batches.get(1)?.asked, false, then.type)
  t.equal(fold([...asked, EVENTS.disarmed, EVENTS.armed])?.batches.get(1)?.asked, false)
})

void t.test('a reply may show that a batch is in another workspace', async t => {
  const by = { origin: 'o', access: 'a', workspace: 'w' }
  const submitted = { ...EVENTS.submitted, workspace: 'other' }
  const armedAfter = (...events: readonly JobEvent[]): unknown =>
    fold([opened, EVENTS.sealed, ...events, submitted])?.batches.get(1)?.armed
  t.match(armedAfter({ ...EVENTS.armed, by }), { at: 2, by: { ...by, workspace: 'other' } })
  t.same(armedAfter(EVENTS.armed), { at: 2, serverAt: null })
  t.equal(armedAfter(), null)
  t.throws(() => fold([opened, submitted]), { code: 'CBS_STATE' })
})

void t.test('an adopted id replaces one that the API does not know', async t => {
  const state = fold([opened, EVENTS.sealed, EVENTS.armed, EVENTS.submitted, EVENTS.adopted])
  t.match(state?.batches.get(1), { id: 'b', submittedAt: 3 })
  const ended = [opened, EVENTS.sealed, EVENTS.armed, EVENTS.submitted, EVENTS.ended]
  t.match(fold([...ended, EVENTS.adopted])?.batches.get(1), {
    ...{ id: 'b', submittedAt: 3, endedAt: null, counts: null, resultsUrl: null },
  })
})

void t.test('no events give no state, and only opened can be the first', async t => {
  t.equal(fold([]), undefined)
  t.throws(() => fold([EVENTS.sealed]), { code: 'CBS_STATE', message: /begins with "sealed"/ })
  t.throws(() => fold([opened, opened]), { code: 'CBS_STATE', message: /opened twice/ })
})

void t.test('a journal of another version is rejected by both versions (C15)', async t => {
  for (const [version, whose] of [
    [VERSION + 7, 'a newer'],
    [VERSION - 1, 'an older'],
  ] as const)
    t.throws(() => fold([{ ...opened, version }]), {
      code: 'CBS_STATE',
      message: `the job was written by ${whose} version of this program (format ${version}; this one reads format ${VERSION}): use that version to finish the job`,
    })
})

void t.test('the state keeps the data of events', async t => {
  const state = fold([
    opened,
    { type: 'workspace', id: 'w' },
    { type: 'source', index: 0, name: 'a.csv' },
    { type: 'source', index: 1, name: 'b.csv' },
    { type: 'spooled', records: 5, bytes: 50, complete: true },
    EVENTS.sealed,
    EVENTS.armed,
    EVENTS.candidate,
    { ...EVENTS.candidate, id: '__proto__' },
    EVENTS.ruledOut,
    EVENTS.submitted,
    EVENTS.ended,
    EVENTS.fetched,
    { type: 'output', out: 'o', errors: null },
    EVENTS.written,
    { type: 'finished', at: 9 },
  ])
  t.match(state, {
    run: 'r',
    openedAt: 1,
    workspace: 'w',
    sources: ['a.csv', 'b.csv'],
    spooled: { records: 5, bytes: 50, complete: true },
    fetches: 1,
    finished: true,
  })
  t.match(state?.output, { files: { out: 'o', errors: null }, out: 10, errors: 2 })
  const batch = state?.batches.get(1)
  t.same(Object.entries(batch?.candidates ?? {}), [
    ['x', 'ruledOut'],
    ['__proto__', 'open'],
  ])
  t.match(batch, {
    id: 'a',
    submittedAt: 3,
    counts,
    resultsUrl: 'u',
    fetched: { lines: 1, bytes: 5, why: null },
    fetchOrder: 0,
    armed: { at: 2, serverAt: null },
  })
})

void t.test('a search forgets a batch that no longer exists', async t => {
  const state = fold([opened, EVENTS.sealed, EVENTS.armed, EVENTS.candidate, EVENTS.disarmed])
  t.same(state?.batches.get(1)?.candidates, {})
  t.equal(state?.batches.get(1)?.armed, null)
})

void t.test('a new output starts again with every batch that was written', async t => {
  const all = [
    opened,
    ...Object.values(EVENTS).filter(
      ({ type }) => !['split', 'disarmed', 'failed', 'candidate', 'ruledOut'].includes(type),
    ),
  ]
  const state = fold([
    ...all,
    { type: 'sealed', ...part(2) },
    { type: 'output', out: null, errors: 'e' },
  ])
  t.equal(state?.batches.get(1)?.phase, 'fetched')
  t.equal(state?.batches.get(2)?.phase, 'sealed')
  t.same(state?.output, {
    files: { out: null, errors: 'e' },
    ids: { out: null, errors: null },
    ...{ out: 0, errors: 0, below: 0, outTail: null, errorsTail: null, isStale: false },
  })
})

void t.test('a file that starts again keeps its identity, another one has none yet', async t => {
  const first: JobEvent[] = [
    opened,
    { type: 'output', out: 'o', errors: 'e' },
    { type: 'outputIds', out: '1', errors: '2' },
  ]
  const idsAfter = (out: string | null, errors: string | null): unknown =>
    fold([...first, { type: 'output', out, errors }])?.output.ids
  t.same(idsAfter('o', 'e'), { out: '1', errors: '2' })
  t.same(idsAfter('o', 'f'), { out: '1', errors: null })
  t.same(idsAfter(null, 'e'), { out: null, errors: '2' })
})

void t.test('written rows are stale after a retry, until they are written again', async t => {
  const events: JobEvent[] = [opened, { type: 'sealed', ...part(1) }]
  const isStale = (...more: JobEvent[]): unknown => fold([...events, ...more])?.output.isStale
  const finished: JobEvent = { type: 'finished', at: 1 }
  const retry: JobEvent = { type: 'sealed', ...part(2) }
  t.equal(isStale(retry, finished), false, 'a retry of the run itself')
  t.equal(isStale(finished, retry), true)
  t.equal(isStale(finished, retry, { type: 'output', out: 'o', errors: null }), false)
})

void t.test(
  'R09: rows in input order are committed up to a record, and never taken back',
  async t => {
    const to = (below: number, out: number): JobEvent => ({
      ...{ type: 'writtenBelow', below, out, errors: 1, outTail: 'a' },
    })
    const state = fold([opened, EVENTS.sealed, to(2, 10), to(5, 30)])
    t.match(state?.output, { below: 5, out: 30, errors: 1, outTail: 'a', errorsTail: null })
    t.equal(state?.batches.get(1)?.phase, 'sealed')
    t.throws(() => fold([opened, to(5, 30), to(4, 20)]), {
      code: 'CBS_STATE',
      message: /it takes back rows below 5/,
    })
  },
)

void t.test('the parts of a split take its place, and a foreign batch is marked', async t => {
  const state = fold([opened, { ...EVENTS.sealed, foreign: true }, EVENTS.split])
  t.same(
    [...(state?.batches.values() ?? [])].map(({ number, phase, foreign }) => [
      number,
      phase,
      foreign,
    ]),
    [
      [1, 'void', true],
      [2, 'sealed', undefined],
      [3, 'sealed', undefined],
    ],
  )
})

void t.test('gaps between batches are found in any order of the batches', async t => {
  const batch = (number: number, first: number, records: number): JobEvent => ({
    ...{
      type: 'sealed',
      ...part(number),
      number,
      ...(records > 0 && { first }),
      records,
      requests: records,
      next: first + records,
    },
  })
  const state = fold([opened, batch(1, 40, 5), batch(2, 10, 20), batch(3, 30, 0), batch(4, 15, 3)])
  t.same(state && unbatchedGaps(state), [
    [0, 10],
    [30, 40],
  ])
})
