import t from 'tap'
import { lyingApi } from '../support/lying-api.ts'
import { everythingIn, placeFor } from './world.ts'

/** Members of results that are not of the type that they should be, by the question they answer. */
const ODD: Readonly<Record<string, string>> = {
  type: '{"type":"errored","error":{"type":"error","error":{"type":{"a":1},"message":"m"}}}',
  message:
    '{"type":"errored","error":{"type":"error","error":{"type":"x","message":{"why":["b",1]}}}}',
  error: '{"type":"errored","error":[]}',
  refusal:
    '{"type":"succeeded","message":{"content":[],"stop_reason":"refusal","stop_details":{"explanation":{"en":"no"}},"usage":{"input_tokens":1e999,"output_tokens":-5}}}',
  usage:
    '{"type":"succeeded","message":{"model":{"name":"m"},"content":[{"type":"text","text":"ok"}],"stop_reason":7,"usage":{"input_tokens":1e999,"output_tokens":"12","cache_read_input_tokens":1e400,"cache_creation":[],"server_tool_use":{"web_search_requests":-1e999}}}}',
  content:
    '{"type":"succeeded","message":{"content":["text"],"stop_reason":"end_turn","usage":[1e999]}}',
}

void t.test(
  'response members of the wrong type spoil one row only, in every format and command',
  async t => {
    const place = await placeFor(t)
    const change = (path: string, body: string): string => {
      if (!path.endsWith('/results')) return body
      const kinds = Object.keys(ODD)
      return body.replaceAll(/.+/g, line => {
        const kind = kinds.find(one => line.includes(`${one} please`))
        const [, id] = /"custom_id":"([^"]+)"/.exec(line) ?? []
        return `{"custom_id":"${id}","result":${kind ? ODD[kind] : '{}'}}`
      })
    }
    // Every request counts as it should, whatever its line says.
    const counts = { processing: 0, succeeded: 3, errored: 3, canceled: 0, expired: 0 }
    const counted = (body: string): string =>
      body.includes('"ended"')
        ? body.replace(/"request_counts":\{[^}]*\}/, `"request_counts":${JSON.stringify(counts)}`)
        : body
    const url = await lyingApi(t, place.emulator.url, {
      change: (path, body) => counted(change(path, body)),
    })
    const stdin = Object.keys(ODD)
      .map(kind => `{"q":"${kind} please"}\n`)
      .join('')
    const words = ['-p', '{{q}}', '--base-url', url, '--row-cost']
    const ran = await place.run([...words, '--job', 'one'], { stdin })
    t.equal(ran.code, 3, ran.err)
    const rows = ran.rows.map(({ response, _batch }) => [_batch?.status, response, _batch?.error])
    t.same(rows, [
      ['errored', null, { type: '{"a":1}', message: 'm' }],
      ['errored', null, { type: 'x', message: '{"why":["b",1]}' }],
      ['errored', null, { type: 'unknown_error', message: 'the API gave no reason' }],
      ['refused', null, { type: 'refusal', message: 'the model refused: {"en":"no"}' }],
      ['succeeded', 'ok', undefined],
      ['errored', null, rows[5]?.[2]],
    ])
    t.match(rows[5]?.[2], { type: 'unknown_message' })
    const table = await place.run([...words.slice(0, 4), '--to', 'csv', '--job', 'two'], { stdin })
    t.equal(table.code, 3, table.err)
    t.match(table.out, /type please,,errored,"\{""a"":1\}: m"\n/)
    const told = [ran.err, table.err]
    for (const command of ['results', 'status', 'report', 'retry', 'resume']) {
      const shown = await place.run([command, 'one'])
      t.notMatch(String(shown.code), /9/, `${command}: ${shown.err}`)
      told.push(shown.err, command === 'status' ? shown.out : '')
    }
    for (const text of told) t.notMatch(text, /Infinity|NaN|TypeError|a bug/)
  },
)

void t.test('an endless list is abandoned, with a message', async t => {
  const place = await placeFor(t)
  let pages = 0
  const url = await lyingApi(t, place.emulator.url, {
    answer: (_, response) => {
      pages += 1
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ data: [], has_more: true, last_id: `b${pages % 3}` }))
      return true
    },
  })
  const ran = await place.run(['list', '--remote', '--base-url', url])
  t.equal(ran.code, 8)
  t.match(ran.err, /the list of batches has no end: it comes to b1 again/)
  t.equal(pages, 4)
})

const SECRET = 'gateway+token/0123456789'

for (const variable of ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN']) {
  void t.test(`a key that a gateway echoes appears nowhere in the output: ${variable}`, async t => {
    const place = await placeFor(t)
    const env = { [variable]: SECRET }
    let creates = 0
    const url = await lyingApi(t, place.emulator.url, {
      answer: ({ method, headers }, response) => {
        const isCreate = method === 'POST'
        if (isCreate) creates += 1
        if (isCreate && creates > 2) return false
        const status = !isCreate ? 401 : creates === 1 ? 529 : 400
        const sent = [headers['x-api-key'], headers.authorization].join(' ')
        const message = `requests.0: what is ${sent}?`
        response.writeHead(status, { 'content-type': 'application/json', 'request-id': SECRET })
        response.end(JSON.stringify({ type: 'error', error: { type: SECRET, message } }))
        return true
      },
    })
    const events = place.path('events.jsonl')
    const words = ['-p', '{{q}}', '--base-url', url, '--job', 'one', '--events', events, '-v']
    const ran = await place.run(words, { stdin: '{"q":"a"}\n{"q":"b"}\n', env })
    t.match(ran.err, /\*\*\*/)
    t.ok(creates >= 2)
    for (const text of [ran.out, ran.err, everythingIn(place.dir)]) t.notMatch(text, SECRET)
  })
}
