// Typed extraction: a zod schema describes the answers. It is sent with each request, each answer is validated against it, and
// `value` has its type.
import { runBatches } from 'claude-batch-stream'
import * as z from 'zod'
import { connect } from './connect.ts'

const Invoice = z.object({
  number: z.string(),
  total: z.number().min(0),
  due: z.iso.date().transform(day => new Date(day)),
})

const mails = [
  { from: 'a@example.com', body: 'Invoice 17 for 120.50, due on 2026-12-01' },
  { from: 'b@example.com', body: 'Invoice 18 for 80, due on 2026-12-24' },
  { from: 'c@example.com', body: 'Happy holidays!' },
]

const { client, poll, close } = await connect({
  // Plays the model. The third mail has no invoice, so its answer does not match the schema.
  respond: ({ messages: [message] }) => {
    const [, number, total, due] =
      /Invoice (\d+) for ([\d.]+), due on (\S+)/.exec(String(message?.content)) ?? []
    return JSON.stringify(number === undefined ? {} : { number, total: Number(total), due })
  },
})

const run = runBatches(mails, {
  client,
  poll,
  prompt: mail => `Extract the invoice from this email from ${mail.from}:\n${mail.body}`,
  schema: Invoice,
  order: 'input',
})
for await (const { record, value, status, error } of run) {
  // value: { number: string; total: number; due: Date } | undefined
  if (value) console.log(record.fields.from, value.number, value.total, value.due.getUTCFullYear())
  else console.log(record.fields.from, status, error?.message)
}

await close()
