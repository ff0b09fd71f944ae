import { join } from 'node:path'
import t from 'tap'
import { each, from } from '../../../lib/core/chain.ts'
import { SourceRecord, type BatchRequest, type RejectedRecord } from '../../../lib/core/flow.ts'
import { MAX_ATTACHED_BYTES } from '../../../lib/core/limits.ts'
import { attachFiles } from '../../../lib/stages/template/attach.ts'
import { template } from '../../../lib/stages/template/template.ts'
import type { TemplateOptions } from '../../../lib/stages/template/options.ts'

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
const JPEG = Buffer.from('ffd8ffe000104a464946000101', 'hex')
const GIF = Buffer.from('GIF89a and so on')
const WEBP = Buffer.from('RIFF\0\0\0\0WEBPVP8 ')
const PDF = Buffer.from('%PDF-1.7\n...')

type Asked = BatchRequest | RejectedRecord

function record(fields: object): SourceRecord {
  return new SourceRecord(Buffer.from(JSON.stringify(fields)), { line: 3 })
}

async function ask(options: TemplateOptions, ...records: object[]): Promise<Asked[]> {
  const asked: Asked[] = []
  const stage = template({ prompt: 'What is it?', ...options })
  for await (const one of each(from(records.map(record), stage))) asked.push(one)
  return asked
}

async function contentOf(options: TemplateOptions, fields: object): Promise<unknown> {
  const [asked] = await ask(options, fields)
  return asked && ('params' in asked ? asked.params.messages.at(-1)?.content : asked.problem)
}

const base64 = (media_type: string, bytes: Buffer) => ({
  type: media_type === 'application/pdf' ? 'document' : 'image',
  source: { type: 'base64', media_type, data: bytes.toString('base64') },
})
const question = { type: 'text', text: 'What is it?' }

void t.test('images and PDFs become blocks before the text, whatever their names', async t => {
  const dir = t.testdir({ a: PNG, 'b.txt': JPEG, c: GIF, d: WEBP, e: PDF })
  for (const [path, block] of [
    ['a', base64('image/png', PNG)],
    ['b.txt', base64('image/jpeg', JPEG)],
    ['c', base64('image/gif', GIF)],
    ['d', base64('image/webp', WEBP)],
    ['e', base64('application/pdf', PDF)],
  ] as const)
    t.same(await contentOf({ attach: '{{path}}', attachDir: dir }, { path }), [block, question])
})

void t.test('a text file becomes a text block', async t => {
  const dir = t.testdir({ 'a.md': '\ufeff# Grüße\n{{not a field}}\n' })
  t.same(await contentOf({ attach: `${dir}/{{name}}.md` }, { name: 'a' }), [
    { type: 'text', text: '# Grüße\n{{not a field}}\n' },
    question,
  ])
})

void t.test(
  'several files keep the order of their templates, and duplicates are dropped',
  async t => {
    const dir = t.testdir({ a: PNG, b: 'text' })
    const attach = [
      '{{two}}',
      '{{$first}}',
      (fields: Readonly<Record<string, unknown>>) => String(fields['two']),
    ]
    const content = await contentOf({ attach, attachDir: dir, vars: { first: 'a' } }, { two: 'b' })
    t.same(content, [{ type: 'text', text: 'text' }, base64('image/png', PNG), question])
  },
)

void t.test('a record without a file is sent without one', async t => {
  const attach = ['{{path?}}', () => undefined]
  t.equal(await contentOf({ attach }, {}), 'What is it?')
  t.equal(await contentOf({ attach }, { path: '' }), 'What is it?')
  t.equal(await contentOf({ attach: [] }, {}), 'What is it?')
})

void t.test('a file is added to the last user message of a conversation', async t => {
  const dir = t.testdir({ a: PDF })
  const messages = [
    { role: 'user', content: 'Hello' },
    { role: 'assistant', content: 'Hi' },
    { role: 'user', content: [question] },
  ]
  const [asked] = await ask(
    { prompt: undefined, attach: '{{path}}', attachDir: dir },
    { path: 'a', messages },
  )
  const [first, second] = messages
  t.match(asked, {
    params: {
      messages: [
        first,
        second,
        { role: 'user', content: [base64('application/pdf', PDF), question] },
      ],
    },
  })
})

void t.test('a conversation without a user message is rejected', async t => {
  const dir = t.testdir({ a: PDF })
  const messages = [{ role: 'system', content: 'Say something' }]
  t.match(
    await contentOf(
      { prompt: undefined, attach: '{{path}}', attachDir: dir },
      { path: 'a', messages },
    ),
    { type: 'no_user_message' },
  )
})

void t.test('a file that cannot be sent rejects its record with the reason', async t => {
  const dir = t.testdir({
    blank: ' \n',
    latin: Buffer.from('caf\xe9', 'latin1'),
    large: Buffer.alloc(MAX_ATTACHED_BYTES + 1, 'x'),
    folder: {},
  })
  const options = { attach: '{{path}}', attachDir: dir }
  for (const [path, type, message] of [
    ['gone', 'missing_file', `there is no file ${join(dir, 'gone')}`],
    ['folder', 'unreadable_file', /is not a regular file/],
    ['a\0b', 'unreadable_file', /cannot be read/],
    ['blank', 'empty_file', 'the file blank is empty'],
    ['latin', 'invalid_utf8', /byte 0xe9 at byte offset 3/],
    ['large', 'file_too_large', /has 24000001 bytes; the maximum is 24000000/],
  ] as const)
    t.match(await contentOf(options, { path }), { type, message })
  t.match(await contentOf(options, { other: 1 }), {
    type: 'missing_field',
    message: /field "path" of the attach template is missing on line 3/,
  })
})

void t.test('records keep their order, and invalid ones their place', async t => {
  const dir = t.testdir({ a: PNG, b: 'text' })
  const asked = await ask(
    { prompt: '{{n}}', attach: '{{path}}', attachDir: dir },
    ...[{ n: 0, path: 'a' }, { path: 'a' }, { n: 2, path: 'gone' }, { n: 3, path: 'b' }],
  )
  t.same(
    asked.map(one => ('params' in one ? one.record?.fields['n'] : one.problem.type)),
    [0, 'missing_field', 'missing_file', 3],
  )
})

void t.test('as a separate stage it accepts the requests of any other stage', async t => {
  const dir = t.testdir({ a: PNG })
  const params = {
    model: 'm',
    max_tokens: 1,
    messages: [{ role: 'user' as const, content: 'What is it?' }],
  }
  const requests = [{ params }, { params, record: record({ path: 'a' }) }]
  for (const [options, expected] of [
    [{ attach: '{{path}}', attachDir: dir }, ['string', 'object']],
    [{}, ['string', 'string']],
  ] as const) {
    const kinds: string[] = []
    for await (const one of each(from(requests, attachFiles(options))))
      if ('params' in one) kinds.push(typeof one.params.messages[0]?.content)
    t.same(kinds, expected)
  }
})

void t.test('a function that throws ends the pipeline with a BatchStreamError', async t => {
  const attach = (): string => {
    throw new Error('no idea')
  }
  const failed = { code: 'CBS_STAGE', message: /a file cannot be attached: no idea/ }
  await t.rejects(ask({ attach }, {}), failed)
  const requests = [{ params: { model: 'm', max_tokens: 1, messages: [] }, record: record({}) }]
  await t.rejects(async () => {
    for await (const _ of each(from(requests, attachFiles({ attach })))) t.fail('nothing comes')
  }, failed)
})

void t.test(
  'a function that returns no path ends the pipeline, and null means no file',
  async t => {
    // What a JavaScript user may give: the first three are no paths.
    for (const given of [5, Promise.reject(new Error('boom')), { path: 'a' }])
      await t.rejects(ask({ attach: () => given as never }, {}), {
        code: 'CBS_STAGE',
        message:
          /`attach` (must return the path of a file, or nothing \(line 3\)|returned a promise)/,
      })
    t.equal(await contentOf({ attach: () => null as never }, {}), 'What is it?')
  },
)

void t.test('invalid options are rejected at once', async t => {
  // @ts-expect-error a path is a text
  t.throws(() => template({ attach: 5 }), { code: 'CBS_OPTION', message: /`attach` must be/ })
  t.throws(() => template({ attach: '{{path' }), { code: 'CBS_OPTION', message: /attach template/ })
  // @ts-expect-error a folder is a text
  t.throws(() => attachFiles({ attachDir: 5 }), { code: 'CBS_OPTION' })
})
