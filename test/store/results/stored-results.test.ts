import { mkdirSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { keptResults } from '../../../lib/store/results/stored-results.ts'

const line = (text: string): string =>
  JSON.stringify({
    custom_id: text,
    result: { type: 'succeeded', message: { content: [{ type: 'text', text }] } },
  })

t.test('every line of a kept set is an answer, with or without a newline at its end', async t => {
  const folder = t.testdir({ batches: {} })
  mkdirSync(`${folder}/batches`, { recursive: true })
  for (const [at, end] of ['', '\n', '\n\n'].entries()) {
    writeFileSync(`${folder}/batches/${at}.results`, `${line('a')}\n\n${line('b')}${end}`)
    const texts: (string | null)[] = []
    for await (const { response } of keptResults(folder, at)) texts.push(response)
    t.same(texts, ['a', 'b'])
  }
})

t.test('a batch whose set is not kept has no answers', async t => {
  for await (const _ of keptResults(t.testdir({ batches: {} }), 1)) t.fail('there is none')
})
