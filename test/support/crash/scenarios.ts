import type { EmulatorOptions, FaultRule, Respond } from '../../../lib/emulator/index.ts'
import { lastUserText } from '../../../lib/emulator/index.ts'
import type { Task } from './process.ts'

/** A run and the behaviour of the API. */
export interface Scenario {
  readonly name: string
  readonly task: Task
  readonly api: Pick<EmulatorOptions, 'faults' | 'respond' | 'foreign' | 'queueLimit'>
  /** Whether the answered rows depend on the distribution of records over batches, which may differ after a crash. */
  readonly rowsDiffer?: boolean
}

const SEVERAL = 12

function records(count: number): string {
  const lines = Array.from({ length: count }, (_, at) =>
    JSON.stringify({ q: `word ${at}`, id: `row-${at}` }),
  )
  return lines.map(line => `${line}\n`).join('')
}

const PLAIN: Task = {
  input: records(SEVERAL),
  count: 3,
  errors: false,
  attempts: 2,
  concurrency: 10,
}

/** Fails the first attempt of requests with one of these words. */
function failingOnce(words: readonly string[], answer: 'expired' | 'overloaded'): Respond {
  return (params, { attempt }) => {
    if (attempt > 1 || !words.some(word => lastUserText(params) === `Say ${word}`)) return undefined
    return answer === 'expired'
      ? { expired: true }
      : { error: { type: 'overloaded_error', message: 'too much to do' } }
  }
}

/** What happens to the first create. */
function firstCreate(effect: Omit<FaultRule, 'on' | 'nth'>): Scenario['api'] {
  return { faults: [{ on: 'create', nth: 1, ...effect }] }
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'plain', task: PLAIN, api: {} },
  { name: 'one batch in flight', task: { ...PLAIN, concurrency: 1 }, api: {} },
  { name: 'reply to a create lost', task: PLAIN, api: firstCreate({ when: 'after', reset: true }) },
  {
    name: '500 and the batch is there',
    task: PLAIN,
    api: firstCreate({ when: 'after', status: 500 }),
  },
  {
    name: '500 and no batch is there',
    task: PLAIN,
    api: firstCreate({ when: 'before', status: 500 }),
  },
  {
    name: 'reply lost, and listed late',
    task: PLAIN,
    api: firstCreate({ when: 'after', reset: true, listedAfterMs: 90_000, notFoundMs: 20_000 }),
  },
  {
    name: 'reply lost, and others send as many',
    task: PLAIN,
    api: {
      ...firstCreate({ when: 'after', reset: true }),
      foreign: [{ requests: 3 }, { requests: 3, batchTimeMs: 900_000 }, { requests: 2 }],
    },
  },
  {
    name: '500 and only others have sent as many',
    task: PLAIN,
    api: {
      ...firstCreate({ when: 'before', status: 500 }),
      foreign: [{ requests: 3, createdAgoMs: -2_000, batchTimeMs: 900_000 }, { requests: 2 }],
    },
  },
  {
    name: 'a create is answered with an unknown id',
    task: PLAIN,
    api: {
      ...firstCreate({ replyId: 'msgbatch_wrong' }),
      foreign: [{ requests: 3 }, { requests: 3, batchTimeMs: 900_000 }],
    },
  },
  { name: 'the queue is full', task: PLAIN, api: { queueLimit: 5 } },
  { name: '413 splits', task: PLAIN, api: firstCreate({ when: 'early', status: 413 }) },
  {
    name: '413 after the last byte',
    task: PLAIN,
    api: firstCreate({ when: 'before', status: 413 }),
  },
  {
    name: '400 names a request',
    task: PLAIN,
    api: { faults: [{ on: 'create', rejectRequest: 'Say word 4"' }] },
  },
  {
    name: 'expired rows are asked again',
    task: PLAIN,
    api: { respond: failingOnce(['word 1', 'word 2', 'word 7', 'word 9', 'word 11'], 'expired') },
  },
  {
    name: 'R09: retried rows in input order',
    task: { ...PLAIN, ordered: true },
    api: { respond: failingOnce(['word 1', 'word 2', 'word 7', 'word 9', 'word 11'], 'expired') },
  },
  {
    name: 'a whole batch is asked again',
    task: PLAIN,
    api: { respond: failingOnce(['word 3', 'word 4', 'word 5'], 'overloaded') },
  },
  {
    name: 'a results line is missing at first',
    task: PLAIN,
    api: { faults: [{ on: 'results', nth: 1, lines: { drop: 2 } }] },
  },
  {
    name: 'a results line is missing for good',
    task: PLAIN,
    api: { faults: [{ on: 'results', batch: 2, lines: { drop: 2 } }] },
    rowsDiffer: true,
  },
  {
    name: 'failed rows go to a file of their own',
    task: { ...PLAIN, errors: true, input: `not json\n${records(SEVERAL)}{"no":"q"}\n` },
    api: {
      respond: params =>
        lastUserText(params) === 'Say word 6'
          ? { error: { type: 'invalid_request_error', message: 'no' } }
          : undefined,
    },
  },
  { name: 'chosen ids', task: { ...PLAIN, id: '{{id}}' }, api: {} },
  {
    name: 'chosen ids, and a reply is lost',
    task: { ...PLAIN, id: '{{id}}' },
    api: firstCreate({ when: 'after', reset: true }),
  },
  {
    name: 'chosen ids, and a create is answered with an unknown id',
    task: { ...PLAIN, id: '{{id}}' },
    api: firstCreate({ replyId: 'msgbatch_wrong' }),
  },
  {
    name: 'chosen ids, one of them twice',
    task: { ...PLAIN, input: records(5) + records(2), id: '{{id}}' },
    api: {},
  },
  {
    name: 'answers of an earlier job are reused',
    task: { ...PLAIN, earlier: records(8).replace('word 5', 'another word') },
    api: firstCreate({ when: 'after', reset: true }),
  },
  { name: 'one record', task: { ...PLAIN, input: records(1) }, api: {} },
  { name: 'nothing to send', task: { ...PLAIN, input: 'no json\n{"no":"q"}\n' }, api: {} },
  { name: 'no records', task: { ...PLAIN, input: '' }, api: {} },
]

export function scenarioOf(name: string): Scenario {
  const found = SCENARIOS.find(one => one.name === name)
  if (!found) throw new Error(`there is no scenario "${name}"`)
  return found
}
