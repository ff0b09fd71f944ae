// What people write by hand: the whole file to an array, chunks of 10,000, create, poll, results to an array, join by a map.
import Anthropic from '@anthropic-ai/sdk'
import { parse } from 'csv-parse/sync'
import { readFileSync, writeFileSync } from 'node:fs'

const [url, input, output] = process.argv.slice(2)
const client = new Anthropic({ apiKey: 'any', baseURL: url })
const records = parse(readFileSync(input), { columns: true })
const ids = []
for (let from = 0; from < records.length; from += 10_000) {
  const requests = records.slice(from, from + 10_000).map(({ review }, index) => ({
    custom_id: `r-${from + index}`,
    params: {
      model: 'claude-haiku-4-5',
      max_tokens: 1024,
      messages: [{ role: 'user', content: `Sentiment of: ${review}` }],
    },
  }))
  ids.push((await client.messages.batches.create({ requests })).id)
}
for (const id of ids)
  while ((await client.messages.batches.retrieve(id)).processing_status !== 'ended')
    await new Promise(go => setTimeout(go, 200))
const results = []
for (const id of ids)
  for await (const result of await client.messages.batches.results(id)) results.push(result)
const answers = new Map(results.map(({ custom_id, result }) => [custom_id, result]))
const rows = records.map((record, index) => {
  const result = answers.get(`r-${index}`)
  const text = result.type === 'succeeded' ? result.message.content[0].text : null
  return JSON.stringify({ ...record, response: text })
})
writeFileSync(output, `${rows.join('\n')}\n`)
