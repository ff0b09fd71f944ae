import { createHash } from 'node:crypto'
import t from 'tap'
import { batchRowsOf, MOST_BATCHES } from '../../lib/report/batch-rows.ts'
import { givenPrice } from '../../lib/cost/price.ts'
import { MAX_ATTEMPTS } from '../../lib/report/figures.ts'
import { pageOf } from '../../lib/report/page.ts'
import type { JobReport } from '../../lib/report/report.ts'
import { timeLineOf } from '../../lib/report/time-line.ts'
import { answered, batch, BEGAN, failed, failure, figuresOf, MINUTE, reportOf } from './reports.ts'

/** What a reader sees of a page: its texts, without those that are shown when pointed at. */
function seen(page: string): string {
  return page
    .replace(/<(style|title|script)>[^]*?<\/\1>/g, '')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
}

const textOf = (change: Partial<JobReport> = {}): string => seen(pageOf(reportOf(change)))

t.test('a page shows the job, its results and its cost', async t => {
  const text = textOf()
  t.match(text, /nightly finished 40 records from reviews.csv, model claude-haiku-5-5/)
  t.match(text, 'Started 2026-11-20 22:15 UTC.')
  t.match(
    text,
    /Rows 40 of 40 records Succeeded 100% 40 Spent \$0\.\d+ synchronous calls: \$0\.\d+/,
  )
  t.match(text, /Time 9 min 4 batches/)
  t.match(text, /Batches saved \$0\.\d+, 50% of what synchronous calls/)
  t.match(text, 'The estimate for the whole job was $0.00400.')
  t.match(text, /cache write, 1 h 4,800 \$/)
  t.match(text, /% of the prompt tokens came from the prompt cache, in 36 answers of 40/)
  t.match(text, 'No row failed. No request was retried.')
  t.notMatch(text, /Failures|Retries/, 'an empty section has no heading')
  t.match(text, /batch 1 10 batch 2 10 batch 3 10 batch 4 10/)
})

t.test('a page shows the note of its job', async t => {
  t.match(textOf({ note: 'the <second> try' }), 'the &lt;second&gt; try')
})

t.test('a page contains one script, which its policy allows, and loads nothing', async t => {
  const evil = '"\'><script src=https://example.com/x.js></script>\u0000\u001b]0;x\u0007 \u202e'
  const page = pageOf(
    reportOf({
      job: 'a',
      model: evil,
      sources: [evil, 'b'],
      failures: [failure(evil, evil)],
      figures: figuresOf([answered({ input_tokens: 1 }, { model: evil }), failed(evil)]),
    }),
  )
  const [, script = ''] = /<script>([^]*?)<\/script>/.exec(page) ?? []
  const hash = createHash('sha256').update(script).digest('base64')
  t.match(page, `script-src &#39;sha256-${hash}&#39;`, 'the policy allows the script of the page')
  t.notMatch(
    page.replace('<script>', ''),
    /<script|<iframe|<object|<link rel="(?!icon)|@import|url\(|\son\w+="/,
  )
  t.notMatch(page, /(?:src|href)="(?!data:,|#)/)
  t.notMatch(page, /[\u0000-\u0009\u000b-\u001f\u007f\u0080-\u009f\u202e]/)
  t.match(page, "default-src 'none'")
  t.match(page, '&lt;script src=https://example.com/x.js&gt;&lt;/script&gt;␀␛]0;x␇')
})

t.test('the prompt and the parameters follow the failures, unchanged', async t => {
  const texts = [
    ['Prompt', 'Mood of <b>:\n\t{{review}}\r\n\u001b[1m'],
    ['Schema', `"${'x'.repeat(30_000)}"`],
  ] as const
  const parameters = [
    ['Model', 'claude-haiku-5-5'],
    ['{{tone}}', '"dry" & <short>'],
  ] as const
  const page = pageOf(reportOf({ request: { texts, parameters }, failures: [failure('no', 'x')] }))
  t.match(
    page,
    '<bdi>Mood of &lt;b&gt;:\n\t{{review}}\n␛[1m</bdi></pre>',
    'lines and tabs are kept',
  )
  t.match(seen(page), /Failures .* Prompt and parameters Prompt .* Schema .* Rows by status/)
  t.match(seen(page), 'Model claude-haiku-5-5 {{tone}} &quot;dry&quot; &amp; &lt;short&gt;')
  t.match(seen(page), 'The first 20,000 of 30,002 characters.')
  t.notMatch(page, 'x'.repeat(20_000))
  const only = seen(pageOf(reportOf({ request: { texts: [['Prompt', 'a']], parameters: [] } })))
  t.match(only, /Prompt and parameters Prompt a Rows/)
})

t.test('each batch has a line in a table', async t => {
  const counts = { processing: 0, succeeded: 7, errored: 1, canceled: 0, expired: 2 }
  const open = { phase: 'sealed', submittedAt: null, endedAt: null, id: null } as const
  const batches = [
    batch(1, { counts }),
    batch(2, { attempt: 2, requests: 1200 }),
    batch(3, open),
    batch(4, { phase: 'void' }),
    batch(5, { requests: 0 }),
  ]
  const page = pageOf(reportOf({ batches: batchRowsOf(batches) }))
  const [table = ''] = /<table class="sortable[^]*?<\/table>/.exec(page) ?? []
  t.equal(
    seen(table).trim(),
    [
      'Batch State Requests No answer Attempt Submitted Ended Took Id',
      '1 written 10 3 1 11-20 22:16:00 11-20 22:21:00 5 min msgbatch_1',
      '2 written 1,200 – 2 11-20 22:17:00 11-20 22:22:00 5 min msgbatch_2',
      '3 sealed 10 – 1 – – – –',
    ].join(' '),
  )
  t.match(table, '<td data-value="1200">1,200</td>', 'numbers sort as numbers')
  t.match(table, '<td data-value="">–</td>')
})

t.test('many batches are folded, and a page stays small', async t => {
  const rows = (count: number) =>
    batchRowsOf(Array.from({ length: count }, (_, at) => batch(at + 1)))
  t.notMatch(pageOf(reportOf({ batches: rows(12) })), '<details>')
  t.match(
    pageOf(reportOf({ batches: rows(13) })),
    /<details><summary>13 batches as a table<\/summary>[^]*msgbatch_13<[^]*<\/details>/,
  )
  const page = pageOf(reportOf({ batches: rows(MOST_BATCHES + 5) }))
  t.match(page, '5 more batches: only the first 1,000 are listed.')
  t.equal(page.match(/<td data-value="written">/g)?.length, MOST_BATCHES)
})

t.test('a running job shows its open batches', async t => {
  const open = { endedAt: null, fetched: null }
  const batches = [
    batch(1),
    batch(2, { ...open, phase: 'submitted' }),
    batch(3, {
      ...{ ...open, phase: 'armed', submittedAt: null, id: null },
      armed: { at: BEGAN + MINUTE, serverAt: null },
    }),
    batch(4, { ...open, phase: 'sealed', submittedAt: null, id: null }),
  ]
  const change = {
    ...({ state: 'running', records: 1000, isRead: false, reserved: 2n * 10n ** 15n } as const),
    timeLine: timeLineOf(batches, BEGAN, BEGAN + 3000 * MINUTE),
    estimate: undefined,
  }
  const text = textOf(change)
  t.match(text, /nightly running 1,000 records so far from/)
  t.match(text, 'state as of 2026-11-21 01:15 UTC')
  t.match(text, 'no row yet 960, 96%')
  t.match(text, '1 batch is ready and not submitted yet.')
  t.match(text, '$2.00 is reserved for batches in flight.')
  t.match(text, 'not ended')
  t.match(text, /11-22 /, 'a day is named where one begins')
  const page = pageOf(reportOf(change))
  t.match(page, /batch 2, msgbatch_2, 10 requests, running for 2 d 1 h/)
  t.match(page, /batch 3, 10 requests, sent, outcome unknown for/)
})

t.test('there is a page before anything is sent', async t => {
  const empty = {
    ...({ state: 'unfinished', records: 0, sources: [], model: undefined } as const),
    ...{ request: { texts: [], parameters: [] }, batches: batchRowsOf([]) },
    ...{ figures: figuresOf([]), timeLine: timeLineOf([], BEGAN, BEGAN), estimate: undefined },
  }
  const text = textOf(empty)
  t.match(text, /0 records\. Started/)
  t.match(
    text,
    'No row failed. The records contain their own prompts. No record has been read yet. No batch has been submitted. Nothing was billed. No answer was billed. No request was retried.',
  )
  t.notMatch(pageOf(reportOf(empty)), /<section|<table/)
  t.match(text, /Spent \$0\.00/)
  t.notMatch(text, /NaN|Infinity|undefined/)
  const waiting = [batch(1, { phase: 'sealed', submittedAt: null, endedAt: null, fetched: null })]
  const ready = textOf({ ...empty, timeLine: timeLineOf(waiting, BEGAN, BEGAN) })
  t.match(ready, 'No batch has been submitted. 1 batch is ready and not submitted yet.')
  t.match(ready, /Time 0.0 s 1 batch /)
})

t.test('without a price no dollars are shown', async t => {
  const figures = figuresOf([
    answered({ input_tokens: 5, output_tokens: 1 }, { model: 'claude-x' }),
  ])
  const text = textOf({ figures, estimate: undefined })
  t.match(text, 'The cost is unknown: no price is known for claude-x')
  t.match(text, /input 5 \? \? output 1 \? \? All unknown unknown/)
  t.match(text, /Spent unknown/)
  const priced = figuresOf(
    [answered({ input_tokens: 5, output_tokens: 1 }, { model: 'x' })],
    givenPrice('10,50'),
  )
  t.match(textOf({ figures: priced }), /input 5 \$0\.0000250 \$0\.0000500/)
  const free = figuresOf(
    [answered({ input_tokens: 5, output_tokens: 1 }, { model: 'x' })],
    givenPrice('0,0'),
  )
  t.match(textOf({ figures: free }), /input 5 \$0\.00 \$0\.00/)
})

t.test('without token counts no dollars are shown', async t => {
  const figures = figuresOf([answered({ input_tokens: 5 })])
  t.match(textOf({ figures }), 'The cost is unknown: 1 answer has no valid token counts.')
  t.notMatch(textOf({ figures: figuresOf([answered({})]) }), 'Nothing was billed')
})

t.test('web searches are billed separately', async t => {
  const usage = { input_tokens: 5, output_tokens: 1, server_tool_use: { web_search_requests: 3 } }
  t.match(textOf({ figures: figuresOf([answered(usage)]) }), /web searches \$0.0300 \$0.0300/)
})

t.test('failures are grouped, with the start of their records', async t => {
  const figures = figuresOf(Array.from({ length: 3 }, () => failed('too long')))
  for (let kind = 0; kind < 60; kind++)
    figures.failures.add('invalid', { type: 'x', message: String.fromCharCode(200 + kind) }, kind)
  const failures = [failure('too long', '{"id":1}'), failure('no', 'x', 'refused')]
  const text = textOf({ figures, failures, records: 3, sources: ['reviews.csv', 'b.csv'] })
  t.ok(text.indexOf('Failures') < text.indexOf('Rows by status'), 'failures come first')
  t.match(text, /from reviews.csv and 1 other file,/)
  t.match(
    text,
    /1 row errored invalid_request_error too long Line Record 12 of reviews.csv \{&quot;id/,
  )
  t.match(text, '11 more failures of other kinds; only the first 50 kinds are listed.')
  t.match(textOf({ failures }), /Line Record 12 \{/, 'one file needs no name')
})

t.test('more than five kinds of failure are folded', async t => {
  const kinds = Array.from({ length: 7 }, (_, at) => failure(`reason ${at}`, 'x'))
  const folded = (page: string): string => page.replace(/^[^]*<details>|<\/details>[^]*$/g, '')
  const text = folded(pageOf(reportOf({ failures: kinds })))
  t.match(text, '2 more kinds of failure')
  t.same(text.match(/reason \d/g), ['reason 5', 'reason 6'])
  t.notMatch(pageOf(reportOf({ failures: kinds.slice(2) })), '<details>')
})

t.test('on a phone no text of a chart leaves its drawing', async t => {
  const figures = figuresOf(
    Array.from({ length: 3 }, () => answered({ input_tokens: 9e7, output_tokens: 1 })),
  )
  figures.rows.succeeded = 1_234_567
  const batches = Array.from({ length: 600 }, (_, at) =>
    batch(at + 9000, { requests: 100_000, endedAt: BEGAN + (at + 20) * 86_400_000 }),
  )
  const timeLine = timeLineOf(batches, BEGAN, BEGAN)
  const page = pageOf(reportOf({ figures, timeLine, records: 2_000_000 }))
  const charts = page.match(/<div class="at-narrow">.*?<\/svg>/gs) ?? []
  t.equal(charts.length, 3)
  for (const chart of charts) {
    t.match(chart, 'viewBox="0 0 350 ')
    for (const [, look = '', at, text = ''] of chart.matchAll(
      /<text class="([^"]*)" x="([^"]*)" y="[^"]*">([^<]*)/g,
    )) {
      const width = text.length * (/small|tick/.test(look) ? 6.2 : 7.4)
      const left = Number(at) - (/name/.test(look) ? width : /below/.test(look) ? width / 2 : 0)
      t.ok(left >= -1 && left + width <= 351, `${look} ${text}: ${left} to ${left + width}`)
    }
  }
})

t.test('retried requests have a row per attempt', async t => {
  const figures = figuresOf([])
  const add = (attempt: number, isNewest: boolean, answer = failed('x')): void =>
    figures.add(answer, {
      batch: batch(attempt, { attempt }),
      ordinal: 0,
      isAsked: true,
      isNewest,
      isLast: isNewest,
    })
  add(1, false)
  add(1, false)
  add(2, false)
  add(4, true, answered({ input_tokens: 1 }))
  const text = textOf({ figures })
  t.match(text, /Attempt Requests succeeded errored 1 2 0 2 2 1 0 1 3 0 0 0 4 1 1 0/)
  add(MAX_ATTEMPTS + 5, false)
  t.match(textOf({ figures }), '20 and more 1 0 1')
  const again = [batch(1), batch(2, { attempt: 3 })]
  const timeLine = timeLineOf(again, BEGAN, BEGAN)
  t.match(textOf({ timeLine }), 'retried')
  t.match(pageOf(reportOf({ timeLine })), 'msgbatch_2, 10 requests, attempt 3, ended after 5 min')
})

t.test('repeated rows and many batches are reported', async t => {
  const figures = figuresOf([answered({ input_tokens: 1 })])
  figures.repeats = 1
  figures.reused = 1200
  const many = Array.from({ length: 300 }, (_, at) => batch(at + 1))
  const timeLine = timeLineOf(many, BEGAN, BEGAN)
  const text = textOf({ figures, timeLine })
  t.match(text, '1 row has the answer of an identical request, and cost nothing.')
  t.match(text, '1,200 rows have the answer of an earlier job, and cost nothing.')
  t.match(text, 'Each row covers 5 consecutive batches.')
  t.match(text, /1–5 50 6–10 50/)
  t.match(pageOf(reportOf({ timeLine })), 'batches 1 to 5, 50 requests')
})

t.test('a time line labels what distinguishes its times', async t => {
  const ticksOf = (ms: number): string =>
    textOf({
      timeLine: timeLineOf([batch(1, { submittedAt: BEGAN, endedAt: BEGAN + ms })], BEGAN, 0),
    })
  t.match(ticksOf(300), /15:00\.050 /)
  t.match(ticksOf(9000), /22:15:02 /)
  t.match(ticksOf(600_000), /22:15 22:16 22:17/)
  t.match(ticksOf(10 * 86_400_000), /2026-11-21 2026-11-23/)
})

t.test('large numbers fit into a chart', async t => {
  const usage = { input_tokens: 150_000, output_tokens: 2_500_000 }
  const text = textOf({ figures: figuresOf(Array.from({ length: 2000 }, () => answered(usage))) })
  t.match(text, /2k/)
  t.match(text, /13\dk|14\dk|15\dk/)
  t.match(text, /\dM/)
})
