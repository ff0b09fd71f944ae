import t from 'tap'
import type { RemoteBatch } from '../../../lib/api/remote-batch.ts'
import {
  createdFrom,
  isCandidate,
  isOfAnotherTime,
  reconcile,
  minElapsed,
  type SearchEvidence,
  type Proof,
  type PendingCreate,
} from '../../../lib/stages/search/reconcile.ts'

const MINUTE = 60_000
const ARMED = Date.parse('2026-11-20T12:00:00Z')
const unknown: PendingCreate = {
  ...{ requests: 5, areCountsExact: true },
  ...{ serverAt: ARMED, at: ARMED, oldest: ARMED, settleMs: 10 * MINUTE },
  ...{ lagMs: 0, leadMs: 0 },
}

function remote(
  id: string,
  more: { status?: RemoteBatch['processing_status']; count?: number; at?: number } = {},
): RemoteBatch {
  const { status = 'ended', count = 5, at = ARMED + 1000 } = more
  return {
    id,
    processing_status: status,
    request_counts: { processing: count, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
    created_at: new Date(at).toISOString(),
    ended_at: null,
    archived_at: null,
    expires_at: null,
    cancel_initiated_at: null,
    results_url: null,
  }
}

/** When somebody looks. */
const NOW = ARMED + 30 * MINUTE
const running = remote('a', { status: 'in_progress' })
const ended = remote('a')

type Given = readonly [
  name: string,
  Partial<Omit<SearchEvidence, 'proofs'>> & { proofs?: [string, Proof][] },
  object,
]

t.test('counts of a gateway may lack some', async t => {
  const none = new Set<string>()
  for (const [requests, areCountsExact, isOne] of [
    [5, true, true],
    [6, true, false],
    [6, false, true],
    [4, false, false],
  ] as const)
    t.equal(
      isCandidate(running, { ...unknown, requests, areCountsExact }, none),
      isOne,
      `${requests} requests, exact: ${areCountsExact}`,
    )
  t.ok(isCandidate(ended, { ...unknown, requests: 4, areCountsExact: false }, none))
})

const verdicts: readonly Given[] = [
  ['nothing is listed yet', {}, { kind: 'wait', for: 'time' }],
  ['nothing is listed after the settle time', { settled: true }, { kind: 'absent' }],
  [
    'a batch of another count is no candidate',
    { listed: [remote('a', { count: 6 })], settled: true },
    { kind: 'absent' },
  ],
  [
    'a batch that runs and that a journal owns is no candidate',
    { listed: [running], owned: new Set(['a']), settled: true },
    { kind: 'absent' },
  ],
  [
    'an ended batch that a journal owns is read before anything is sent again',
    { listed: [ended], owned: new Set(['a']), settled: true },
    { kind: 'prove', candidates: [ended] },
  ],
  [
    'a batch that is ours is adopted, whichever journal owns it',
    { listed: [ended], owned: new Set(['a']), proofs: [['a', 'ours']] },
    { kind: 'adopt', batch: ended },
  ],
  [
    'a batch that a journal owns, and whose results say so, is no candidate',
    { listed: [ended], owned: new Set(['a']), verified: new Set(['a']), settled: true },
    { kind: 'absent' },
  ],
  ...[-11, 21].flatMap(minutes => {
    const at = ARMED + minutes * MINUTE
    const listed = [remote('a', { at })]
    const when = `a batch of ${minutes} minutes`
    return [
      [`${when} is not waited for`, { listed }, { kind: 'wait', for: 'time' }],
      [
        `${when} is looked at before anything is sent again`,
        { listed, settled: true },
        { kind: 'prove', candidates: listed },
      ],
      [
        `${when} that is ours, whatever its time says, is adopted`,
        { listed, settled: true, proofs: [['a', 'ours']] },
        { kind: 'adopt', batch: { id: 'a' } },
      ],
      [
        `${when} that tells nothing is read again`,
        { listed, settled: true, proofs: [['a', 'unreadable']] },
        { kind: 'wait', for: 'proof', why: /batch a may belong to this job/ },
      ],
      [
        `${when} that is foreign is not ours`,
        { listed, settled: true, proofs: [['a', 'foreign']] },
        { kind: 'absent' },
      ],
      [
        `${when} that runs is not ours`,
        { listed: [remote('a', { at, status: 'in_progress' })], settled: true },
        { kind: 'absent' },
      ],
    ] satisfies Given[]
  }),
  ...[-25, 1].map(
    hours =>
      [
        `a batch that runs and is ${-hours} hours old by its time may be ours`,
        {
          listed: [remote('a', { at: NOW + hours * 60 * MINUTE, status: 'in_progress' })],
          settled: true,
        },
        { kind: 'wait', for: 'end', why: /its results will show that when it has ended/ },
      ] satisfies Given,
  ),
  ...[-49, 49].flatMap(hours => {
    const at = ARMED + hours * 60 * MINUTE
    const listed = [remote('a', { at })]
    const when = `a batch of ${hours} hours`
    return [
      [
        `${when} that tells nothing is not ours`,
        { listed, settled: true, proofs: [['a', 'unreadable']] },
        { kind: 'absent' },
      ],
      [
        `${when} that an earlier process named may be ours`,
        { listed, candidates: ['a'], settled: true },
        { kind: 'prove', candidates: listed },
      ],
      [
        `${when} that an earlier process named is waited for`,
        {
          listed: [remote('a', { at, status: 'in_progress' })],
          now: at,
          candidates: ['a'],
          settled: true,
        },
        { kind: 'wait', for: 'end' },
      ],
    ] satisfies Given[]
  }),
  [
    'a candidate whose count is odd for once is waited for',
    {
      listed: [remote('a', { count: 6, status: 'in_progress' })],
      candidates: ['a'],
      settled: true,
    },
    { kind: 'wait', for: 'end' },
  ],
  [
    'a candidate whose count is odd for once is read when it has ended',
    { listed: [remote('a', { count: 4 })], candidates: ['a'], settled: true },
    { kind: 'prove' },
  ],
  [
    'a batch that has not been counted yet is a candidate',
    { listed: [remote('a', { count: 0 })], settled: true },
    { kind: 'prove' },
  ],
  [
    'machines of the API may disagree by minutes',
    { listed: [remote('a', { at: ARMED - 9 * MINUTE })], settled: true },
    { kind: 'prove' },
  ],
  [
    'a running candidate can be checked only when it has ended',
    { listed: [running], settled: true },
    { kind: 'wait', for: 'end', why: /its results will show that when it has ended/ },
  ],
  [
    'an ended candidate must be looked at',
    { listed: [ended], settled: true },
    { kind: 'prove', candidates: [ended] },
  ],
  [
    'a proven one is adopted',
    { listed: [remote('b'), ended], proofs: [['a', 'ours']] },
    { kind: 'adopt', batch: { id: 'a' } },
  ],
  [
    'a foreign one is not waited for',
    { listed: [ended], proofs: [['a', 'foreign']], settled: true },
    { kind: 'absent' },
  ],
  [
    'a foreign one does not shorten the settle time',
    { listed: [ended], proofs: [['a', 'foreign']] },
    { kind: 'wait', for: 'time' },
  ],
  [
    'one that cannot be read is waited for',
    { listed: [ended], proofs: [['a', 'unreadable']], settled: true },
    { kind: 'wait', for: 'proof', why: /its results have not shown that yet/ },
  ],
  [
    'a foreign one beside one that runs',
    {
      listed: [ended, remote('b', { status: 'canceling' })],
      proofs: [['a', 'foreign']],
      settled: true,
    },
    { kind: 'wait', for: 'end' },
  ],
  [
    'chosen ids prove nothing, and the search goes on',
    { listed: [ended], proofs: [['a', 'chosen']] },
    { kind: 'wait', for: 'time' },
  ],
  [
    'chosen ids are a question when everything else is known',
    {
      listed: [remote('b'), ended],
      proofs: [
        ['a', 'chosen'],
        ['b', 'foreign'],
      ],
      settled: true,
    },
    { kind: 'undecided', candidates: [ended] },
  ],
  [
    'a generated id decides, even if another batch has the chosen ones',
    {
      listed: [remote('b'), ended],
      proofs: [
        ['a', 'chosen'],
        ['b', 'ours'],
      ],
    },
    { kind: 'adopt', batch: { id: 'b' } },
  ],
  [
    'chosen ids wait for another candidate that runs',
    {
      listed: [ended, remote('b', { status: 'in_progress' })],
      proofs: [['a', 'chosen']],
      settled: true,
    },
    { kind: 'wait', for: 'end' },
  ],
  [
    'chosen ids of a batch that another journal owns are no question',
    { listed: [ended], owned: new Set(['a']), proofs: [['a', 'chosen']], settled: true },
    { kind: 'absent' },
  ],
  [
    'chosen ids of a batch from another time are a question, too',
    {
      listed: [remote('a', { at: ARMED + 21 * MINUTE })],
      proofs: [['a', 'chosen']],
      settled: true,
    },
    { kind: 'undecided' },
  ],
  [
    'a candidate that is gone may have been ours',
    { candidates: ['a'], settled: true },
    { kind: 'wait', for: 'end', why: /no longer listed/ },
  ],
  [
    'a candidate that is gone and was proven foreign',
    { candidates: ['a'], proofs: [['a', 'foreign']], settled: true },
    { kind: 'absent' },
  ],
  [
    'a candidate that another journal owns by now',
    { candidates: ['a'], owned: new Set(['a']), settled: true },
    { kind: 'absent' },
  ],
]

for (const [name, { proofs = [], ...evidence }, verdict] of verdicts) {
  void t.test(`${name}`, async t => {
    const whole = {
      listed: [],
      owned: new Set<string>(),
      verified: new Set<string>(),
      candidates: [],
      settled: false,
      now: NOW,
      ...evidence,
    }
    t.match(reconcile(unknown, { ...whole, proofs: new Map(proofs) }), verdict)
  })
}

void t.test('if the time of the API is unknown, two days on either side count', async t => {
  const blind: PendingCreate = { ...unknown, serverAt: null }
  const none = new Set<string>()
  t.equal(createdFrom(blind), ARMED - 48 * 60 * MINUTE)
  t.ok(isCandidate(remote('a', { at: ARMED - 47 * 60 * MINUTE }), blind, none))
  t.ok(isCandidate(remote('a', { at: ARMED + 47 * 60 * MINUTE }), blind, none))
  const running = { status: 'in_progress', at: ARMED - 90 * 60 * MINUTE } as const
  t.ok(isCandidate(remote('a', running), blind, none))
  t.notOk(isCandidate(remote('a', { at: ARMED - 49 * 60 * MINUTE }), blind, none))
})

void t.test(
  'if the time of the API is unknown, an older batch that tells nothing is not ours',
  async t => {
    const listed = [remote('a', { at: ARMED - 30 * 24 * 60 * MINUTE })]
    const evidence = {
      listed,
      owned: new Set<string>(),
      verified: new Set<string>(),
      candidates: [],
      settled: true,
      now: NOW,
    }
    const proofs = new Map<string, Proof>([['a', 'unreadable']])
    t.match(reconcile({ ...unknown, serverAt: null }, { ...evidence, proofs }), { kind: 'absent' })
  },
)

void t.test('if the clocks disagree, either may be right', async t => {
  const none = new Set<string>()
  for (const [minutes, first, last] of [
    [0, -10, 20],
    [60, -10, 80],
    [-60, -70, 20],
    // The results of a batch as old as that are gone.
    [-1e6, -10 - 48 * 60, 20],
  ] as const) {
    const pending = { ...unknown, at: ARMED + minutes * MINUTE }
    t.equal(createdFrom(pending), ARMED + first * MINUTE)
    const isOne = (at: number): boolean =>
      isCandidate(remote('a', { at: ARMED + at * MINUTE }), pending, none)
    t.same([first - 1, first, last, last + 1].map(isOne), [false, true, true, false])
  }
  for (const at of [-1e6, 1e6]) {
    const pending = { ...unknown, at: ARMED + at * MINUTE, oldest: 0 }
    const isOne = (minutes: number): boolean =>
      isCandidate(remote('a', { at: ARMED + minutes * MINUTE }), pending, none)
    t.same([at - 11, at - 10, at + 20, at + 21].map(isOne), [false, true, true, false])
    t.same([-10, 0, 20, at / 2].map(isOne), [true, true, true, false])
    t.equal(createdFrom(pending), ARMED + Math.min(-10, at - 10) * MINUTE)
  }
})

t.test('the settle time passes by the local clock, or by the certain time of the API', async t => {
  for (const [here, serverAt, serverNow, wall, elapsed] of [
    [300, null, ARMED, MINUTE, 300],
    [300, ARMED, null, MINUTE, 300],
    // A date header counts whole seconds: one that is a second on proves nothing (a batch was once paid twice over this).
    [300, ARMED, ARMED + 1000, 60 * MINUTE, 300],
    [300, ARMED, ARMED + 61_000, 60 * MINUTE, 300],
    [300, ARMED, ARMED + 61_500, 60 * MINUTE, 500],
    [300, ARMED, ARMED + 60 * MINUTE, 60 * MINUTE, 60 * MINUTE - 61_000],
    // The API's clock going back changes nothing, nor does its going on where ours does not, nor ours alone.
    [300, ARMED, ARMED - MINUTE, MINUTE, 300],
    [300, ARMED, ARMED + 60 * MINUTE, 2 * MINUTE, 2 * MINUTE],
    [300, ARMED, ARMED + 60 * MINUTE, -60 * MINUTE, 300],
  ] as const) {
    t.equal(
      minElapsed(here, serverAt, serverNow, wall),
      elapsed,
      `${here} ${serverAt} ${serverNow} ${wall}`,
    )
  }
})

void t.test('a batch is of another time if it was created well before or after ours', async t => {
  const isOther = (minutes: number, pending = unknown): boolean =>
    isOfAnotherTime(remote('a', { at: ARMED + minutes * MINUTE }), pending)
  t.same(
    [-11, -9, 0, 19, 21].map(minutes => isOther(minutes)),
    [true, false, false, false, true],
  )
  // A gateway's `date` is years ahead, or years behind.
  const YEARS = 1e6
  for (const apart of [YEARS, -YEARS]) {
    const either = { ...unknown, at: ARMED - apart * MINUTE }
    t.same(
      [-apart, -apart / 2, 0].map(minutes => isOther(minutes, either)),
      [false, false, false],
    )
  }
  const unsure = { ...unknown, serverAt: null }
  t.notOk(isOther(1000, unsure), 'if the time of the API is unknown, time proves nothing')
})
