import t from 'tap'
import type { MessageParams } from '../../lib/core/flow.ts'
import { partsOf } from '../../lib/cost/parts.ts'

type Content = MessageParams['messages'][number]['content']

function request(content: Content, more: Partial<MessageParams> = {}): MessageParams {
  return { model: 'm', max_tokens: 9, messages: [{ role: 'user', content }], ...more }
}

function parts(params: MessageParams): ReturnType<typeof partsOf> {
  return partsOf(params, JSON.stringify(params))
}

const SOURCE = { type: 'base64', media_type: 'image/png', data: 'A'.repeat(5000) } as const
const MARK = { type: 'ephemeral', ttl: '1h' } as const

t.test('text is what is no image', async t => {
  const bare = request('say "type":"base64" and ä')
  t.same(parts(bare), {
    text: Buffer.byteLength(JSON.stringify(bare)),
    media: 0,
    brought: undefined,
    prefix: undefined,
  })
  const image = request([{ type: 'image', source: SOURCE }])
  t.match(parts(image), { media: 1, text: JSON.stringify(image).length - 5000 })
})

t.test('an image in the result of a tool is one too', async t => {
  const block = { type: 'image', source: SOURCE } as const
  const result: Content = [{ type: 'tool_result', tool_use_id: 'x', content: [block, block] }]
  t.match(parts(request(result)), { media: 2 })
})

t.test('a document of text is text', async t => {
  const source = { type: 'text', media_type: 'text/plain', data: 'words' } as const
  const document = request([{ type: 'document', source }])
  t.match(parts(document), { media: 0, text: JSON.stringify(document).length })
})

t.test('the beginning up to the last mark is cached', async t => {
  const system = [{ type: 'text', text: 'be brief', cache_control: MARK }] as const
  const one = parts(request('a', { system: [...system] })).prefix
  const other = parts(request('b', { system: [...system] })).prefix
  t.equal(one?.key, other?.key)
  t.equal(one?.isHour, true)
  t.equal(one?.bytes, JSON.stringify(system).length)
  const renamed = parts({ ...request('a', { system: [...system] }), model: 'n' }).prefix
  t.not(one?.key, renamed?.key, 'each model has a cache of its own')
  const tools: MessageParams['tools'] = [{ name: 't', input_schema: { type: 'object' } }]
  const more = parts(request('a', { tools, system: [...system] })).prefix
  t.ok((more?.bytes ?? 0) > (one?.bytes ?? 0), 'tools stand before it')
})

t.test('a mark beside the messages stands for one on the last block', async t => {
  const one = parts(request('a', { cache_control: { type: 'ephemeral' } })).prefix
  const other = parts(request('b', { cache_control: { type: 'ephemeral' } })).prefix
  t.not(one?.key, other?.key)
  t.equal(one?.isHour, false)
  const own = request([{ type: 'text', text: 'a', cache_control: MARK }], { cache_control: MARK })
  t.equal(parts(own).prefix?.isHour, true)
})

t.test('nothing that is marked is nothing that is cached', async t => {
  t.equal(parts(request('a', { cache_control: null })).prefix, undefined)
  t.equal(parts({ ...request('a'), messages: [], cache_control: MARK }).prefix, undefined)
})

t.test('what the API brings in is told', async t => {
  const url = { type: 'url', url: 'https://example.org' } as const
  t.match(parts(request([{ type: 'image', source: url }])).brought, /an address/)
  const search = { type: 'web_search_20250305', name: 'web_search' } as const
  t.match(parts(request('a', { tools: [search] })).brought, /a tool that the API runs/)
})
