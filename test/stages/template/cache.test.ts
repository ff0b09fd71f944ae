import t from 'tap'
import { SourceRecord } from '../../../lib/core/flow.ts'
import type { TemplateOptions } from '../../../lib/stages/template/options.ts'
import { requestMaker } from '../../../lib/stages/template/request.ts'

const mark = { type: 'ephemeral', ttl: '1h' }
const tool = { name: 'look', input_schema: { type: 'object' as const } }

function paramsOf(options: TemplateOptions, fields: object = { prompt: 'x' }): object | undefined {
  const record = new SourceRecord(Buffer.from(JSON.stringify(fields)), { line: 1 })
  const asked = requestMaker({ cache: true, ...options })(record)
  return 'params' in asked ? asked.params : undefined
}

void t.test('the breakpoint is at the end of a system prompt without fields', async t => {
  t.match(paramsOf({ system: 'You are {{$who}}.', vars: { who: 'terse' } }), {
    system: [{ type: 'text', text: 'You are terse.', cache_control: mark }],
    messages: [{ role: 'user', content: 'x' }],
  })
  t.match(paramsOf({ params: { system: 'Be terse.', tools: [tool] } }), {
    system: [{ type: 'text', text: 'Be terse.', cache_control: mark }],
    tools: [{ cache_control: undefined }],
  })
})

void t.test(
  'of several system blocks the last gets the breakpoint, unless the user has set one',
  async t => {
    const [one, two] = [
      { type: 'text' as const, text: '1' },
      { type: 'text' as const, text: '2' },
    ]
    t.same(paramsOf({ params: { system: [one, two] } }), {
      ...paramsOf({ system: 'x' }),
      system: [one, { ...two, cache_control: mark }],
    })
    const own = { ...two, cache_control: { type: 'ephemeral' as const } }
    t.match(paramsOf({ params: { system: [own] } }), {
      system: [{ text: '2', cache_control: { type: 'ephemeral', ttl: undefined } }],
    })
  },
)

void t.test('without a constant system prompt, the breakpoint is after the tools', async t => {
  const params = { tools: [{ ...tool, name: 'first' }, tool] }
  const tools = [
    { name: 'first', cache_control: undefined },
    { name: 'look', cache_control: mark },
  ]
  t.match(paramsOf({ params }), { tools, system: undefined })
  t.match(paramsOf({ params, system: 'About {{prompt}}' }), { tools, system: 'About x' })
  t.match(paramsOf({ params, system: ' ' }), { tools, system: undefined })
})

void t.test('a record with its own system prompt keeps it unmarked', async t => {
  const messages = [{ role: 'user', content: 'x' }]
  const fields = { params: { system: 'mine', messages } }
  t.match(paramsOf({ system: 'ours' }, fields), { system: 'mine' })
})

void t.test('without a common prefix the option is rejected', async t => {
  for (const system of [undefined, 'About {{prompt}}', '  '])
    t.throws(() => requestMaker({ cache: true, system }), {
      code: 'CBS_OPTION',
      message: /`cache` needs a prefix that all requests share/,
    })
  t.throws(() => requestMaker({ cache: true, params: { tools: [], system: [] } }), {
    code: 'CBS_OPTION',
  })
})
