// The source, the job and the options of 5-submit-today.ts and 6-fetch-tomorrow.ts. A job is resumed with the input and the
// options that it was started with.
import { createReadStream } from 'node:fs'
import { from, parseCsv, type TemplateOptions } from 'claude-batch-stream'

export const JOB = { name: 'moods', dir: process.env['JOBS'] ?? 'state' }

export const BATCH_SIZE = 100

export const ASK = {
  prompt: 'The mood of {{president}} in {{year}}, in one word: {{opening}}',
} satisfies TemplateOptions

export const addresses = () =>
  from(createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)), parseCsv())
