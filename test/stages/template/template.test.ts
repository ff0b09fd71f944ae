import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { from } from '../../../lib/core/chain.ts'
import {
  SourceRecord,
  type BatchRequest,
  type RecordOrigin,
  type RejectedRecord,
} from '../../../lib/core/flow.ts'
import { requestMaker } from '../../../lib/stages/template/request.ts'
import { template } from '../../../lib/stages/template/template.ts'
import type { TemplateOptions } from '../../../lib/stages/template/options.ts'

type Asked = BatchRequest | RejectedRecord

const record = (json: string, origin: Partial<RecordOrigin> = {}) =>
  new SourceRecord(Buffer.from(json), { line: 18, ...origin })

async function ask(
  options: TemplateOptions,
  ...records: (string | SourceRecord)[]
): Promise<Asked[]> {
  const asked: Asked[] = []
  const sources = records.map(each => (typeof each === 'string' ? record(each) : each))
  for await (const one of from(sources, template(options))) asked.push(one)
  return asked
}

/** The params or the problem of one record. */
async function one(options: TemplateOptions, json: string): Promise<unknown> {
  const [asked] = await ask(options, json)
  return asked && ('params' in asked ? asked.params : asked.problem)
}

t.test(
  'a text template makes one user message, and model and max_tokens have defaults',
  async t => {
    const source = record('{"review":"Broke after a day"}')
    const [asked] = await ask({ prompt: 'Sentiment of: {{review}}' }, source)
    t.same(asked, {
      params: {
        model: 'claude-haiku-5-5',
        max_tokens: 1024,
        messages: [{ role: 'user', content: 'Sentiment of: Broke after a day' }],
      },
      record: source,
    })
    t.equal(asked?.record, source, 'the request has its record')
  },
)

t.test('requests keep the order of the records', async t => {
  const asked = await ask(
    { prompt: '{{n}}' },
    ...Array.from({ length: 500 }, (_, n) => `{"n":${n}}`),
  )
  t.same(
    asked.map(each => 'params' in each && each.params.messages[0]?.content),
    Array.from({ length: 500 }, (_, n) => String(n)),
  )
})

t.test('model, max_tokens, system and other parameters are filled in', async t => {
  const options = {
    prompt: '{{a}}',
    system: 'Answer in {{lang?}}{{$tone}}',
    vars: { tone: ', dry' },
    model: 'claude-opus-5',
    maxTokens: 9,
  }
  t.same(
    await one({ ...options, params: { stop_sequences: ['x'] } }, '{"a":"q","lang":"French"}'),
    {
      model: 'claude-opus-5',
      max_tokens: 9,
      stop_sequences: ['x'],
      messages: [{ role: 'user', content: 'q' }],
      system: 'Answer in French, dry',
    },
  )
})

t.test('params take precedence over the options of the same name', async t => {
  const options = {
    prompt: 'q',
    system: 's',
    maxTokens: 9,
    params: { max_tokens: 5, system: 'mine', model: 'm' },
  }
  t.same(await one(options, '{}'), {
    model: 'm',
    max_tokens: 5,
    system: 'mine',
    messages: [{ role: 'user', content: 'q' }],
  })
})

t.test('a system prompt that renders empty is left out', async t => {
  t.notMatch(await one({ prompt: 'q', system: ' {{s?}}' }, '{}'), { system: String })
})

t.test('a missing field rejects only its own record', async t => {
  const [first, second, third] = await ask(
    { prompt: '{{review}}', system: '{{lang}}' },
    '{"revew":"x"}',
    '{"review":"x"}',
    '{"review":"x","lang":"fr"}',
  )
  t.match(first, {
    record: { line: 18 },
    problem: {
      type: 'missing_field',
      message: /"review" of the prompt template is missing on line 18 \(did you mean "revew"\?\)/,
    },
  })
  t.match(second, { problem: { type: 'missing_field', message: /"lang" of the system template/ } })
  t.match(third, { params: { system: 'fr' } })
})

t.test('a prompt of spaces is rejected', async t => {
  const problem = {
    type: 'empty_prompt',
    message: 'the prompt of line 18 is empty; nothing was sent',
  }
  t.same(await one({ prompt: ' {{a}}\n' }, '{"a":" "}'), problem)
  t.same(await one({}, '{"prompt":""}'), problem)
  t.same(await one({ prompt: () => '' }, '{}'), problem)
})

t.test(
  'without a prompt a record is sent by its params, its messages or its prompt, in this order',
  async t => {
    const messages = [{ role: 'user', content: 'own' }]
    const all = {
      params: { model: 'm', max_tokens: 3, messages, system: 'own' },
      messages: [{ role: 'user', content: 'no' }],
      prompt: 'no',
    }
    t.same(await one({ system: 'ours' }, JSON.stringify(all)), {
      model: 'm',
      max_tokens: 3,
      messages,
      system: 'own',
    })
    t.match(
      await one(
        { system: 'ours', maxTokens: 7 },
        JSON.stringify({ ...all, params: { messages, model: null } }),
      ),
      { model: 'claude-haiku-5-5', max_tokens: 7, system: 'ours', messages },
    )
    t.match(
      await one({}, JSON.stringify({ messages, prompt: 'no', params: 'a column of that name' })),
      { messages },
    )
    t.match(
      await one({}, '{"prompt":"{{a}} {{$b}}","a":1}'),
      { messages: [{ role: 'user', content: '{{a}} {{$b}}' }] },
      'never a template',
    )
    t.match(await one({}, '{"prompt":1.0,"messages":"text"}'), { messages: [{ content: '1.0' }] })
  },
)

t.test('a record without any of them is rejected with what is expected', async t => {
  for (const json of [
    '{"review":"x"}',
    '{"prompt":null}',
    '{"prompt":{"a":1}}',
    '{"params":[],"messages":{}}',
  ]) {
    t.match(
      await one({}, json),
      {
        type: 'no_prompt',
        message: /line 18 has no prompt: give a prompt, or records with a field `prompt`/,
      },
      json,
    )
  }
})

t.test('a request with a number that JavaScript would change is not sent', async t => {
  const messages = (n: string): string =>
    `"messages":[{"role":"user","content":"12345678901234567890 ${n}"},{"n":${n}}]`
  const changed = ['9007199254740993', '-12345678901234567891', '1e999']
  const kept = ['9007199254740992', '-1.5', '0.12345678901234567890', '12345678901234567168', '1E5']
  for (const n of [...changed, ...kept]) {
    const problem = {
      type: 'number_too_large',
      message: new RegExp(`of line \\d+ has the number ${n}, which would not be sent exactly`),
    }
    const expected = changed.includes(n)
      ? [{ problem }]
      : [{ params: { messages: [{}, { n: Number(n) }] } }]
    t.match(
      await ask({}, `{"id":9007199254740993,"params":{"tools":[9007199254740993],${messages(n)}}}`),
      expected,
    )
    t.match(await ask({}, `{"id":9007199254740993,${messages(n)}}`), expected)
    t.match(await ask({ ready: true }, `{"custom_id":"a",${messages(n)}}`), expected)
  }
})

t.test("with a prompt, a record's own params are ordinary columns", async t => {
  t.match(await one({ prompt: '{{params}}' }, '{"params":{"messages":[ ]}}'), {
    messages: [{ content: '{"messages":[ ]}' }],
  })
})

t.test('a ready request has its own custom_id', async t => {
  const params = { max_tokens: 5, messages: [{ role: 'user', content: 'q' }] }
  const own = JSON.stringify({ custom_id: 'mine', params })
  t.match(await ask({}, own), [{ custom_id: 'mine', params }])
  t.match(await ask({ id: 'r-{{custom_id}}' }, own), [{ custom_id: 'r-mine' }])
  t.match(await ask({ ready: true }, own), [{ custom_id: 'mine', params }])
  t.notOk('custom_id' in ((await ask({}, JSON.stringify({ custom_id: null, params })))[0] ?? {}))
  t.match(await one({}, JSON.stringify({ custom_id: 17, params })), { type: 'invalid_custom_id' })
  const trap = { type: 't', message: 'm' }
  t.match(await one({}, JSON.stringify({ custom_id: trap, params })), { type: 'invalid_custom_id' })
})

t.test('where records are ready requests, bare params are one', async t => {
  const messages = [{ role: 'user', content: 'q' }]
  const bare = { model: 'm', messages, system: 's', max_tokens: 2 }
  t.same(await one({ ready: true }, JSON.stringify({ ...bare, response: null, _batch: {} })), bare)
  t.match(await ask({ ready: true }, JSON.stringify({ ...bare, custom_id: 'x' })), [
    { custom_id: 'x', params: bare },
  ])
  t.same(
    await one({ ready: true, responseField: false }, JSON.stringify({ ...bare, _batch: {} })),
    bare,
  )
  t.match(await one({ ready: true }, JSON.stringify({ ...bare, temperatur: 0 })), {
    type: 'refused_parameter',
    message: /`temperatur`/,
  })
  t.match(await one({ ready: true }, '{"prompt":"x"}'), {
    type: 'no_prompt',
    message: /^line 18 is not a Messages request/,
  })
  t.notMatch(
    await one({}, JSON.stringify(bare)),
    { system: 's' },
    'elsewhere only messages are taken',
  )
})

t.test('a request that the API would reject is rejected before it is paid for', async t => {
  const messages = [{ role: 'user', content: 'q' }]
  const own = (more: object) => JSON.stringify({ params: { messages, ...more } })
  t.same(await one({}, own({ temperature: 0, foo: 1 })), {
    type: 'refused_parameter',
    message:
      '`temperature` was removed in API version 2026-10-21; leave it out, and steer the answer in the prompt; `foo` is not a parameter of the Messages API',
  })
  t.match(await one({}, own({ max_tokens: 0 })), { type: 'refused_parameter' })
  t.match(await one({}, '{"params":{}}'), {
    message: '`messages` must be a list of at least one message',
  })
  t.match(await one({}, '{"params":{"messages":[{"role":"user"}],"__proto__":{}}}'), {
    type: 'refused_parameter',
    message: /__proto__/,
  })
})

t.test('a function returns the text or the params', async t => {
  t.match(
    await one(
      { prompt: (fields, { line }) => `${line}: ${String(fields['a'])} {{a}}` },
      '{"a":"x"}',
    ),
    { messages: [{ content: '18: x {{a}}' }] },
  )
  const messages = [{ role: 'user' as const, content: 'q' }]
  t.same(
    await one({ prompt: () => ({ messages, max_tokens: 4 }), system: 's{{a}}' }, '{"a":"x"}'),
    { model: 'claude-haiku-5-5', max_tokens: 4, messages, system: 'sx' },
  )
})

t.test(
  'a function may return the same params for each record and change them in between',
  async t => {
    const count = 100
    const messages = [{ role: 'user' as const, content: [{ type: 'text' as const, text: '' }] }]
    const metadata = Object.assign(Object.create({ inherited: 1 }), { user_id: '' })
    const tools = [{ name: 'x', input_schema: { type: 'object' as const, since: new Date(0) } }]
    const shared = { messages, metadata, tools, temperature: undefined }
    const asked = await ask(
      {
        prompt: ({ n }) => {
          messages[0]!.content[0]!.text = `Q${String(n)}`
          metadata.user_id = `U${String(n)}`
          return shared
        },
      },
      ...Array.from({ length: count }, (_, n) => `{"n":${n}}`),
    )
    t.same(
      asked.map(request => JSON.parse(JSON.stringify('params' in request && request.params))),
      Array.from({ length: count }, (_, n) => ({
        model: 'claude-haiku-5-5',
        max_tokens: 1024,
        messages: [{ role: 'user', content: [{ type: 'text', text: `Q${n}` }] }],
        metadata: { user_id: `U${n}` },
        tools: [{ name: 'x', input_schema: { type: 'object', since: '1970-01-01T00:00:00.000Z' } }],
      })),
      'each record has its own request',
    )
    const circular: Record<string, unknown> = {}
    circular['itself'] = circular
    const [odd] = await ask(
      {
        prompt: () => ({ messages: [{ role: 'user', content: 'q' }], metadata: circular }) as never,
      },
      '{"n":1}',
    )
    t.throws(
      () => JSON.stringify(odd && 'params' in odd && odd.params),
      /circular/u,
      'a circle is left to the serializer',
    )
  },
)

t.test(
  'a function that throws, or returns something else, ends the pipeline naming the record',
  async t => {
    const source = record('{}', { line: 5, source: 'a.csv' })
    const cause = new TypeError('no such thing')
    const fails = async (prompt: unknown, message: RegExp | string) => {
      // What untyped callers do.
      const options = { prompt } as TemplateOptions
      await t.rejects(ask(options, source), {
        code: 'CBS_STAGE',
        message,
        place: { line: 5, source: 'a.csv' },
      })
    }
    await fails(() => {
      throw cause
    }, 'the prompt function failed: no such thing (line 5 of a.csv)')
    await fails(() => {
      throw 'a word'
    }, /failed: a word/)
    for (const late of [async () => 'late', () => Promise.reject(new Error('not handled'))])
      await fails(late, /returned a promise; move asynchronous work to an earlier stage/)
    for (const odd of [5, {}, []])
      await fails(() => odd, /returned neither text nor params with `messages`/)
    const thrown: unknown = await ask(
      {
        prompt: () => {
          throw cause
        },
      },
      source,
    ).catch((error: unknown) => error)
    t.match(thrown, { cause })
  },
)

t.test('R06: a failed row of an earlier run is skipped, unless askFailed is set', async t => {
  const failed =
    '{"a":"x","response":"cut","_batch":{"status":"incomplete","error":{"message":"too long"}}}'
  const skipped = (message: string) => ({ type: 'skipped', message })
  t.same(
    await one({ prompt: '{{a}}' }, failed),
    skipped('incomplete in an earlier run, and not sent in this one: too long'),
  )
  for (const meta of ['{"status":"errored"}', '{"status":"rejected","error":"odd"}'])
    for (const options of [
      {},
      { metaField: 'none' },
      { metaField: 'other' },
      { responseField: false } as const,
    ])
      t.match(await one({ prompt: 'x', ...options }, `{"_batch":${meta}}`), { type: 'skipped' })
  t.match(await one({ prompt: 'x', metaField: 'm' }, '{"m":{"status":"expired"}}'), {
    type: 'skipped',
  })
  t.match(await one({ ready: true }, '{"messages":[],"_batch":{"status":"errored"}}'), {
    type: 'skipped',
  })
  t.match(await one({ prompt: '{{a}}', askFailed: true }, failed), {
    messages: [{ content: 'x' }],
  })
  for (const mine of [
    '{"status":"errored"}',
    '{"_batch":{"status":"succeeded"}}',
    '{"_batch":null}',
    '{"_batch":{}}',
    '{"m":{"status":"errored"}}',
  ])
    t.match(await one({ prompt: 'x' }, mine), { messages: [{ content: 'x' }] }, mine)
})

t.test('a function that returns nothing for a record rejects that record', async t => {
  const prompt = (fields: Readonly<Record<string, unknown>>) => fields['q'] as string
  t.same(
    await one({ prompt }, '{"q":"why?"}').then(asked => Object(asked).messages[0].content),
    'why?',
  )
  const problem = {
    type: 'empty_prompt',
    message: /the prompt function returned nothing for line 18/,
  }
  t.match(await one({ prompt }, '{}'), problem)
  t.match(await one({ prompt }, '{"q":null}'), problem)
})

t.test('a prompt with a missing value is rejected before anything is sent', async t => {
  const text = (value: unknown) => `Mood of: ${String(value)}`
  const prompt = (fields: Readonly<Record<string, unknown>>) => text(fields['review'])
  const message = (found: string) =>
    `the prompt of line 18 contains "${found}", which the record does not: the prompt function reads a property that is missing or not text; nothing was sent`
  const problem = (found: string) => ({ type: 'missing_value', message: message(found) })
  t.same(await one({ prompt }, '{"text":"good"}'), problem('undefined'))
  t.same(await one({ prompt }, '{"review":{"text":"good"}}'), problem('[object Object]'))
  t.same(await one({ prompt: fields => text(Number(fields['n'])) }, '{"n":"x"}'), problem('NaN'))
  for (const json of ['{"review":"x is undefined"}', '{"review":"undefin\\u0065d"}'])
    t.match(await one({ prompt }, json), { messages: [{ content: /undefined/ }] })
  const own = (fields: Readonly<Record<string, unknown>>) =>
    `Is there undefined behaviour in this code? ${String(fields['code'])}`
  t.match(await one({ prompt: own }, '{"code":"i++"}'), { messages: [{ content: /undefined/ }] })
  t.match(await one({ prompt: 'Is NaN in {{a}}?' }, '{"a":1}'), { messages: [{}] })
})

t.test('the texts of params are checked too, and the data of files is not', async t => {
  const user = (content: unknown) => ({ messages: [{ role: 'user', content }] })
  const missing = moodOf({})
  for (const params of [
    user(missing),
    user([{ type: 'text', text: missing }]),
    { ...user('good'), system: missing },
    { ...user('good'), system: [{ type: 'text', text: missing }] },
  ])
    t.match(await one({ prompt: () => params as never }, '{}'), { type: 'missing_value' })
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'NaN=' } }
  t.match(await one({ prompt: () => user([image, 'odd']) as never }, '{}'), { messages: [{}] })
})

/** A text with what JavaScript writes for a value that is not there. */
function moodOf(fields: Readonly<Record<string, unknown>>): string {
  return `Mood of: ${String(fields['review'])}`
}

t.test("the id is a template, used verbatim and checked by the API's rule", async t => {
  t.match(await ask({ prompt: 'q', id: '{{a}}-{{b}}' }, '{"a":"x","b":1.0}'), [
    { problem: { type: 'invalid_custom_id', message: /^custom_id "x-1.0" must be/ } },
  ])
  t.match(await ask({ prompt: 'q', id: '{{a}}-{{b}}' }, '{"a":"x","b":10}'), [
    { custom_id: 'x-10' },
  ])
  t.match(await one({ prompt: 'q', id: '{{nr}}' }, '{"n":1}'), {
    type: 'missing_field',
    message: /id template/,
  })
  t.match(await one({ prompt: 'q', id: '{{a?}}' }, '{}'), {
    type: 'invalid_custom_id',
    message: /custom_id "" must/,
  })
})

t.test('an unreadable record is passed on with its problem', async t => {
  const problem = { type: 'bad_record', message: 'no JSON' }
  const source = record('{"input":"x"}', { problem })
  t.same(await ask({ prompt: '{{review}}' }, source), [{ record: source, problem }])
})

t.test('a record that already has a response is rejected', async t => {
  t.match(await one({ prompt: 'q' }, '{"response":"old"}'), {
    type: 'response_exists',
    message:
      'the record already has a field "response"; choose another name for the response field, or drop that field',
  })
  t.match(await one({ prompt: 'q' }, '{"response":null}'), { type: 'response_exists' })
  t.match(await one({ prompt: 'q' }, '{"response":"old","_batch":{}}'), { type: 'response_exists' })
  t.match(await one({ prompt: 'q', responseField: 'r' }, '{"r":1}'), { type: 'response_exists' })
})

t.test('a record whose own field has the name of the meta field is rejected', async t => {
  for (const own of ['"errored"', '5', '[]', '{"status":"open"}', '{"source":"x"}'])
    t.match(await one({ prompt: 'q' }, `{"_batch":${own}}`), { type: 'meta_exists' }, own)
  t.match(await one({ prompt: 'q', metaField: 'id' }, '{"id":1}'), {
    type: 'meta_exists',
    message:
      'the record already has a field "id"; choose another name for the meta field, or drop that field',
  })
  t.match(await one({ prompt: 'q', metaField: 'none' }, '{"none":1}'), { messages: Array })
})

t.test(
  'a failed row of an earlier run may be sent again, and a response under another name is kept',
  async t => {
    t.match(
      await one(
        { prompt: '{{a}}', askFailed: true },
        '{"a":"x","response":null,"_batch":{"status":"expired"}}',
      ),
      { messages: [{ content: 'x' }] },
    )
    t.match(await one({ prompt: 'q', metaField: 'm' }, '{"response":null,"m":{}}'), {
      messages: Array,
    })
    t.match(
      await one({ prompt: '{{response}}', responseField: 'second' }, '{"response":"first"}'),
      { messages: [{ content: 'first' }] },
    )
    t.match(await one({ prompt: 'q', responseField: false }, '{"response":"old"}'), {
      messages: Array,
    })
  },
)

t.test('invalid options are rejected before the first record', async t => {
  const wrong = (options: unknown, message: RegExp | string) =>
    // What untyped callers do.
    t.throws(() => template(options as TemplateOptions), { code: 'CBS_OPTION', message })
  wrong({ prompt: 5 }, '`prompt` must be a template or a function, got 5')
  wrong({ prompt: '{{a' }, /prompt template, line 1, column 1/)
  wrong({ prompt: 'q', system: '{{}}' }, /system template/)
  wrong({ prompt: 'q', id: '{{$x}}' }, /id template.*unknown variable/)
  wrong({ prompt: 'q', system: 7 }, /`system` must be a template/)
  wrong({ model: '' }, /`model` must be the id of a model/)
  wrong({ model: 5 }, /`model`/)
  for (const maxTokens of [0, 1.5, '5'])
    wrong({ maxTokens }, /`maxTokens` must be a whole number of at least 1/)
  wrong(
    { params: { temperature: 0 } },
    /`params` contains what the API rejects: `temperature` was removed/,
  )
  wrong(
    { params: { thinking: { type: 'enabled' } }, model: 'claude-opus-5' },
    /`thinking` of type "enabled" is refused by claude-opus-5/,
  )
  wrong({ params: { messages: [] } }, /`params.messages` is made from the prompt/)
  wrong({ params: [] }, /`params` must be an object/)
  wrong({ params: 'a=1' }, /`params` must be an object/)
  wrong({ prompt: 'q', ready: true }, /`ready` must be left out where a prompt is given/)
})

t.test('an item that is not a record is rejected with what to do', async t => {
  await t.rejects(pipeline([{ review: 'x' }], template({ prompt: 'q' })), {
    code: 'CBS_STAGE',
    message: /template takes records: put a parse stage before it/,
  })
})

t.test('a record that is not JSON ends the pipeline with its line', async t => {
  await t.rejects(ask({ prompt: '{{a}}' }, record('{cut')), {
    code: 'CBS_STAGE',
    message: /^the record on line 18 cannot be read: /,
  })
})

t.test(
  'a thinking budget above max_tokens is rejected with the prompt, or with the record',
  async t => {
    const model = 'claude-sonnet-4-5'
    const params = { thinking: { type: 'enabled', budget_tokens: 2048 } } as const
    t.throws(() => template({ prompt: 'x', model, params }), {
      code: 'CBS_OPTION',
      message: /\(2048\) must be below `max_tokens` \(1024\)/,
    })
    t.doesNotThrow(() => template({ prompt: 'x', model, params, maxTokens: 4096 }))
    const messages = [{ role: 'user' as const, content: 'x' }]
    for (const [prompt, isTaken] of [
      [() => 'x', false],
      [() => ({ messages }), false],
      [() => ({ messages, max_tokens: 4096 }), true],
    ] as const) {
      const made = requestMaker({ prompt, model, params })(
        new SourceRecord(Buffer.from('{"a":1}'), { line: 1 }),
      )
      t.equal('params' in made, isTaken)
      if ('problem' in made)
        t.match(made.problem, { type: 'refused_parameter', message: /must be below `max_tokens`/ })
    }
  },
)

t.test('an error of a function for the model or max_tokens names the record', async t => {
  const fail = (): never => {
    throw new TypeError('no such field')
  }
  for (const wrong of [{ model: fail }, { maxTokens: fail }])
    await t.rejects(ask({ prompt: 'q', ...wrong }, '{}'), {
      code: 'CBS_STAGE',
      message: /failed .*line 18.*/,
      cause: { message: 'no such field' },
    })
})
