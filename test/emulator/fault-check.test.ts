import t from 'tap'
import { checkFaults } from '../../lib/emulator/fault-check.ts'
import type { FaultRule } from '../../lib/emulator/fault.ts'

const EVERYTHING: FaultRule[] = [
  {
    on: 'create',
    nth: 1,
    when: 'after',
    status: 529,
    headers: { 'retry-after': '5' },
    error: { type: 'x' },
  },
  {
    on: ['list', 'retrieve'],
    nth: [1, 2],
    times: 3,
    batch: 1,
    body: '<p>',
    contentType: 'text/html',
  },
  { on: '*', when: 'early', bytes: -1, reset: true, redirect: '/x' },
  { on: 'results', stallMs: 'forever', stallAfterBytes: 0, resetAfterBytes: 9 },
  {
    on: 'results',
    lines: {
      drop: 1,
      double: [1, 2],
      cutInside: 1,
      cutAfter: 0,
      reversed: true,
      gzipCut: 8,
      shortBy: 1,
    },
  },
  {
    on: 'create',
    notFoundMs: 1,
    listedAfterMs: 1,
    vanishAfterMs: 1,
    expire: true,
    resultsUrl: null,
    archived: true,
  },
  {
    on: 'create',
    expire: [0],
    errored: [{ index: 1, times: 2 }],
    resultsUrl: 'https://a.example',
    counts: { succeeded: -1 },
  },
  { on: 'create', rejectRequest: 'poison' },
  { on: 'create', refuseContaining: 'poison' },
]

t.test('a script may be a JSON file', async () => {
  checkFaults(EVERYTHING)
  checkFaults(JSON.parse(JSON.stringify(EVERYTHING)))
  checkFaults(() => undefined)
})

t.test('an invalid member is named with its place', async t => {
  const wrong: [unknown, RegExp][] = [
    ['x', /`faults` must be an array of rules or a function/],
    [['x'], /`faults\[0\]` must be an object, got "x"/],
    [[{}], /`faults\[0\].on` must be one or several of create, retrieve/],
    [[{ on: 'list' }, { on: 'lists' }], /`faults\[1\].on` must be .*, got "lists"/],
    [[{ on: 'list', nht: 1 }], /`faults\[0\]` must be made of on, nth, .*, got "nht"/],
    [[{ on: 'list', constructor: 1 }], /got "constructor"/],
    [[{ on: 'list', nth: 0 }], /`faults\[0\].nth` must be a whole number from 1/],
    [[{ on: 'list', when: 'later' }], /`faults\[0\].when` must be one of early, before, after/],
    [[{ on: 'list', status: 99 }], /`faults\[0\].status` must be an HTTP status/],
    [[{ on: 'list', stallMs: 'long' }], /`faults\[0\].stallMs`/],
    [[{ on: 'create', resultsUrl: 'evil' }], /`faults\[0\].resultsUrl` must be null or a URL/],
    [[{ on: 'create', expire: false }], /`faults\[0\].expire`/],
    [[{ on: 'create', errored: {} }], /`faults\[0\].errored`/],
    [[{ on: 'results', lines: { cut: 1 } }], /`faults\[0\].lines` must be made of .*, got "cut"/],
    [[{ on: 'results', lines: { drop: 0 } }], /`faults\[0\].lines.drop`/],
    [[{ on: 'results', lines: 3 }], /`faults\[0\].lines` must be an object, got 3/],
  ]
  for (const [faults, message] of wrong) {
    // The invalid types are the point of this test.
    t.throws(() => checkFaults(faults as FaultRule[]), { code: 'CBS_OPTION', message })
  }
})
