// What "submit today" and "fetch tomorrow" share. The job on disk is what they have in common besides: both name the same
// one, and both have the same stages, so that tomorrow's process knows what was asked.
import { aggregate, awaitEnd, chain, fetchResults, submit, template } from 'claude-batch-stream'

export const JOB = { name: 'moods', dir: process.env.JOBS ?? 'state' }

/** Records to batches that the API has. */
export const submitting = (client, job) =>
  chain(
    template({ prompt: 'The mood of {{president}} in {{year}}, in one word: {{opening}}' }),
    aggregate({ job, count: 100 }),
    submit({ client, job }),
  )

/** Batches that the API has to results. */
export const fetching = (client, job, pollMs) =>
  chain(awaitEnd({ client, job, pollMs }), fetchResults({ client, job }))
