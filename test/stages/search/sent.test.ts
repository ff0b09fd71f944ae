import t from 'tap'
import { mustBeSentTo } from '../../../lib/stages/search/sent.ts'

const HERE = { origin: 'https://a.example', access: '1' }
const MOVED = { origin: 'https://b.example', access: '1' }
const OTHER_KEY = { ...HERE, access: '2' }
const one = { workspace: 'wrkspc_1' }
const two = { workspace: 'wrkspc_2' }

for (const [name, by, caller, message] of [
  ['the same', HERE, HERE, undefined],
  ['unknown, as in an older journal', undefined, HERE, undefined],
  ['of another origin', HERE, MOVED, /was sent to https:\/\/a\.example, and https:\/\/b\.example/],
  [
    'with another key',
    HERE,
    OTHER_KEY,
    /with another key, token, workspace, header or path of the base URL/,
  ],
  [
    'of another origin, with the same workspace',
    { ...HERE, ...one },
    { ...MOVED, ...one },
    undefined,
  ],
  [
    'with another key, in the same workspace',
    { ...HERE, ...one },
    { ...OTHER_KEY, ...one },
    undefined,
  ],
  ['the same, in another workspace', { ...HERE, ...one }, { ...HERE, ...two }, /does not have it/],
  ['of another origin that names no workspace', { ...HERE, ...one }, MOVED, /does not have it/],
  ['the same, which names no workspace now', { ...HERE, ...one }, HERE, undefined],
] as const)
  void t.test(`what an API does not have: the caller is ${name}`, async t => {
    const armed = { at: 0, serverAt: null, ...(by && { by }) }
    const call = (): void => mustBeSentTo({ caller }, { number: 1, armed }, null)
    if (message === undefined) t.doesNotThrow(call)
    else t.throws(call, { code: 'CBS_ACCESS', message, option: 'adopt' })
  })

void t.test(
  'a batch that was sent before replies had named a workspace is in that of the job',
  async t => {
    const one = { number: 1, armed: { at: 0, serverAt: null, by: HERE } }
    const caller = { ...HERE, ...two }
    t.throws(() => mustBeSentTo({ caller }, one, 'wrkspc_1'), {
      message: /to workspace wrkspc_1, and/,
    })
    t.doesNotThrow(() => mustBeSentTo({ caller }, one, 'wrkspc_2'))
  },
)

void t.test('a batch of another tool was not sent by the job', async t => {
  t.doesNotThrow(() => mustBeSentTo({ caller: HERE }, { number: 1, armed: null }, null))
})
