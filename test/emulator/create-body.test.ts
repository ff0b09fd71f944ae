import t from 'tap'
import { RequestSplitter } from '../../lib/emulator/create-body.ts'

/** The requests that the splitter finds in a body of pieces of this many bytes. */
function split(body: string | Buffer, size = Infinity): string[] {
  const bytes = Buffer.from(body)
  const splitter = new RequestSplitter()
  const found: string[] = []
  for (let at = 0; at < bytes.length; at += size) {
    for (const request of splitter.push(bytes.subarray(at, at + size)))
      found.push(request.toString())
  }
  splitter.end()
  return found
}

const REQUESTS = [
  '{}',
  '{"custom_id":"a","params":{"messages":[{"role":"user","content":"]},{["}]}}',
  '{"text":"a \\" quote, a \\\\","more":"\\\\\\""}',
  '{"ünï":"🙂 ,]}"}',
  '[[],[{}]]',
  '"a text"',
  '12.5e3',
  'null',
]

t.test('requests are split wherever the body is cut', async t => {
  const bodies = [
    `{"requests":[${REQUESTS.join(',')}]}`,
    ` {\n"requests" :\t[ ${REQUESTS.join(' ,\r\n ')}\n] } \n`,
  ]
  for (const body of bodies) {
    for (const size of [Infinity, 1, 2, 3, 7, 64]) {
      t.same(
        split(body, size).map(text => text.trim()),
        REQUESTS,
      )
    }
  }
})

t.test('an empty list has no requests', async t => {
  t.same(split('{"requests":[]}'), [])
  t.same(split('{"requests":[ ]}', 1), [])
})

t.test('a body that is not a create is rejected with the message of the API', async t => {
  const notJson = (why: string): RegExp => new RegExp(`^The request body is not valid JSON: ${why}`)
  const wrong: [string, RegExp][] = [
    ['', notJson('it ends too early')],
    ['{', notJson('it ends too early')],
    ['{"requests":[{}', notJson('it ends too early')],
    ['{"requests":[{}]', notJson('it ends too early')],
    ['{"requests":[{}]} x', notJson('unexpected "x"')],
    ['{"requests" [{}]}', notJson('unexpected "\\["')],
    ['{"requests":[{}};', notJson('unexpected "}"')],
    ['{"requests":[{}]]', notJson('unexpected "]"')],
    ['{requests:[]}', notJson('a key must be a string')],
    ['{"requests":[],}', notJson('a key must be a string')],
    ['[{"requests":[]}]', /^Input should be a valid dictionary or object$/],
    ['"requests"', /^Input should be a valid dictionary or object$/],
    ['{}', /^requests: Field required$/],
    ['{"":1}', /^requests: Field required$/],
    ['{"requests":{}}', /^requests: Input should be a valid list$/],
    ['{"model":"x","requests":[]}', /^model: Extra inputs are not permitted$/],
    ['{"requests":[],"stream":[{"a":"]"},"\\""]}', /^stream: Extra inputs are not permitted$/],
  ]
  for (const [body, message] of wrong) {
    for (const size of [Infinity, 1])
      t.throws(() => split(body, size), { status: 400, message }, body)
  }
})
