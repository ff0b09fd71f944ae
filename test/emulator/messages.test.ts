import t from 'tap'
import { checkMessages, checkSystem } from '../../lib/emulator/messages.ts'
import { findModel } from '../../lib/emulator/models.ts'

/** The API's error for these messages; undefined if they are valid. */
function said(messages: unknown, model = 'claude-haiku-5-5', strict = true): string | undefined {
  const found = findModel(model)
  if (!found) throw new Error(`no such model: ${model}`)
  try {
    checkMessages(messages, strict, found)
    return undefined
  } catch (error) {
    return Object(error).message
  }
}

const user = (content: unknown): object => ({ role: 'user', content })

t.test('valid messages are accepted', async t => {
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: '' } }
  const document = { type: 'document', source: {} }
  t.equal(said([user('hi')]), undefined)
  t.equal(
    said([
      user('hi'),
      { role: 'assistant', content: 'ho' },
      user([{ type: 'text', text: 'a' }, image, document]),
    ]),
    undefined,
  )
  t.equal(
    said([{ role: 'system', content: 'x' }, user([{ type: 'text', text: 'a', citations: [] }])]),
    undefined,
  )
})

t.test('invalid messages are rejected', async t => {
  const wrong: [unknown, RegExp][] = [
    [undefined, /^messages: Field required$/],
    ['hi', /^messages: Input should be a valid list$/],
    [[], /^messages: at least one message is required$/],
    [['hi'], /^messages.0: Input should be a valid dictionary$/],
    [[user('a'), { role: 'user' }], /^messages.1.content: Field required$/],
    [[{ role: 'bot', content: 'a' }], /^messages.0.role: Input should be/],
    [[{ ...user('a'), name: 'x' }], /^messages.0.name: Extra inputs are not permitted$/],
    [[user('')], /^messages.0: user messages must have non-empty content$/],
    [[user([])], /^messages.0: user messages must have non-empty content$/],
    [[user(5)], /^messages.0.content: Input should be a valid list$/],
    [[user(['a'])], /^messages.0.content.0: Input should be a valid dictionary$/],
    [[user([{}])], /^messages.0.content.0.type: Field required$/],
    [[user([{ type: 'text' }])], /^messages.0.content.0.text.text: Field required$/],
    [[user([{ type: 'text', text: '' }])], /^messages: text content blocks must be non-empty$/],
    [[user([{ type: 'text', text: ' \n' }])], /non-whitespace/],
  ]
  for (const [messages, message] of wrong) t.match(said(messages), message)
})

t.test('a conversation must end with the user, except for old models', async t => {
  const prefilled = [user('a'), { role: 'assistant', content: 'The answer is' }]
  t.match(said(prefilled), /does not support assistant message prefill/)
  t.equal(said(prefilled, 'claude-haiku-4-5'), undefined)
})

t.test('forms that version 2026-10-21 removed are rejected', async t => {
  const document = [{ role: 'assistant', content: [{ type: 'document' }] }, user('a')]
  t.match(said(document), /^messages.0.content.0: document blocks are not permitted/)
  t.equal(said(document, 'claude-haiku-5-5', false), undefined)
  const cited = [user([{ type: 'text', text: 'a', citations: [{ type: 'char_location' }] }])]
  t.match(said(cited), /^messages.0.content.0.text.citations: /)
  t.equal(said(cited, 'claude-haiku-5-5', false), undefined)
})

t.test('system is a string or text blocks', async t => {
  checkSystem(undefined)
  checkSystem('')
  checkSystem([{ type: 'text', text: 'a' }])
  t.throws(() => checkSystem(5), { message: /^system: Input should be a valid list/ })
  t.throws(() => checkSystem([{ type: 'image' }]), { message: /^system.0.type: / })
  t.throws(() => checkSystem(['a']), { message: /^system.0.type: / })
  t.throws(() => checkSystem([{ type: 'text', text: '' }]), { message: /non-empty/ })
  t.throws(() => checkSystem([{ type: 'text' }]), { message: /non-empty/ })
})
