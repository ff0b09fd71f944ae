// What "submit today" and "fetch tomorrow" share: the same source, the same job and the same options, so that the second
// process knows what the first one asked.
import { createReadStream } from 'node:fs'
import { from, parseCsv, type TemplateOptions } from 'claude-batch-stream'

export const JOB = { name: 'moods', dir: process.env['JOBS'] ?? 'state' }

export const BATCH_SIZE = 100

export const ASK = {
  prompt: 'The mood of {{president}} in {{year}}, in one word: {{opening}}',
} satisfies TemplateOptions

export const addresses = () =>
  from(createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)), parseCsv())
