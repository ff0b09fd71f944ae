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

t.test('everything but images and PDFs is text', async t => {
  const bare = request('say "type":"base64" and ä')
  t.same(parts(bare), {
    text: Buffer.byteLength(JSON.stringify(bare)),
    media: 0,
    apiContent: undefined,
    prefix: undefined,
  })
  const image = request([{ type: 'image', source: SOURCE }])
  t.match(parts(image), { media: 1, text: JSON.stringify(image).length - 5000 })
})

t.test('an image in a tool result counts as media', async t => {
  const block = { type: 'image', source: SOURCE } as const
  const result: Content = [{ type: 'tool_result', tool_use_id: 'x', content: [block, block] }]
  t.match(parts(request(result)), { media: 2 })
})

t.test('a document of text counts as text', async t => {
  const source = { type: 'text', media_type: 'text/plain', data: 'words' } as const
  const document = request([{ type: 'document', source }])
  t.match(parts(document), { media: 0, text: JSON.stringify(document).length })
})

t.test('the prefix up to the last breakpoint is cached', async t => {
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

t.test('a breakpoint beside the messages equals one on the last block', async t => {
  const one = parts(request('a', { cache_control: { type: 'ephemeral' } })).prefix
  const other = parts(request('b', { cache_control: { type: 'ephemeral' } })).prefix
  t.not(one?.key, other?.key)
  t.equal(one?.isHour, false)
  const own = request([{ type: 'text', text: 'a', cache_control: MARK }], { cache_control: MARK })
  t.equal(parts(own).prefix?.isHour, true)
})

t.test('without a breakpoint nothing is cached', async t => {
  t.equal(parts(request('a', { cache_control: null })).prefix, undefined)
  t.equal(parts({ ...request('a'), messages: [], cache_control: MARK }).prefix, undefined)
})

t.test('content that the API adds is named', async t => {
  const url = { type: 'url', url: 'https://example.org' } as const
  t.match(parts(request([{ type: 'image', source: url }])).apiContent, /content from a URL/)
  const search = { type: 'web_search_20250305', name: 'web_search' } as const
  t.match(parts(request('a', { tools: [search] })).apiContent, /a tool that the API runs/)
})
