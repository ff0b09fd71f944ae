// Each flag with each format: it has an effect, or it is refused. No flag is silently ignored.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { placeFor } from './world.ts'

const ASK = ['-p', 'Say hi']

const INPUTS = {
  csv: 'text,other\n#a,b\n',
  tsv: 'text\tother\n#a\tb\n',
  jsonl: '{"text":"a"}\n',
  json: '{"x":[{"text":"a"}]}',
  text: 'a\n',
  requests: '{"messages":[{"role":"user","content":"a"}]}\n',
  files: 'a',
  parquet: '',
}
type Input = keyof typeof INPUTS

const READS: readonly (readonly [words: readonly string[], fits: readonly Input[]])[] = [
  [
    ['--delimiter', ';'],
    ['csv', 'tsv'],
  ],
  [
    ['--columns', 'text,b'],
    ['csv', 'tsv'],
  ],
  [['--no-header'], ['csv', 'tsv']],
  [
    ['--comment', '#'],
    ['csv', 'tsv'],
  ],
  [['--json-path', 'x'], ['json']],
]

t.test('a flag for another input format is refused', async t => {
  const place = await placeFor(t, {}, INPUTS)
  // The keys of INPUTS are its formats.
  for (const from of Object.keys(INPUTS) as Input[]) {
    for (const [words, fits] of READS) {
      const { code, err } = await place.run([
        ...(from === 'requests' ? [] : ASK),
        ...['-i', place.path(from), '--from', from, '--dry-run', ...words],
      ])
      const which = `${words.join(' ')} --from ${from}`
      if (fits.includes(from)) t.equal(code, 0, which)
      else
        t.match(
          [code, err],
          [2, new RegExp(`${words[0]} is for .*cannot be combined with --from ${from}`)],
          which,
        )
    }
  }
})

t.test('--json-path is refused for a file with the name of another format', async t => {
  const names = ['a.csv', 'a.tsv', 'a.csv.gz', 'a.txt', 'a.jsonl', 'a.NDJSON']
  const place = await placeFor(t, {}, Object.fromEntries(names.map(name => [name, INPUTS.json])))
  for (const name of names) {
    const words = [...ASK, '--json-path', 'x', '--dry-run', '-i', place.path(name)]
    const refused = await place.run(words)
    t.equal(refused.code, 2, name)
    t.match(
      refused.err,
      `--json-path is for JSON documents; it cannot be combined with ${place.path(name)}`,
    )
    t.match(refused.err, 'add --from json')
    t.equal((await place.run([...words, '--from', 'json'])).code, 0, name)
  }
  const piped = ['--json-path', 'x', ...ASK, '--dry-run']
  t.equal((await place.run(piped, { stdin: INPUTS.json })).code, 0)
  t.equal((await place.run(piped, { stdin: INPUTS.csv })).code, 6, 'text that is not JSON')
})

const FORMATS = ['jsonl', 'csv', 'tsv', 'parquet', 'text', 'raw'] as const
type Format = (typeof FORMATS)[number]
const SCHEMA = JSON.stringify({
  type: 'object',
  properties: { mood: { type: 'string' } },
  required: ['mood'],
  additionalProperties: false,
})

const WRITES: readonly (readonly [words: readonly string[], fits: readonly Format[]])[] = [
  [['--emit', 'response'], ['jsonl']],
  [
    ['--output-columns', 'text'],
    ['csv', 'tsv', 'parquet'],
  ],
  [['--csv-safe'], ['csv', 'tsv']],
  [
    ['--spread', '--schema', SCHEMA],
    ['jsonl', 'csv', 'tsv', 'parquet'],
  ],
  [['--blocks'], ['jsonl']],
  [['--row-cost'], ['jsonl']],
  [['--enum', 'a,b'], FORMATS],
  [['--errors', 'errors.jsonl'], FORMATS],
  [['--order', 'input'], FORMATS],
]

t.test('a flag for another output format is refused', async t => {
  const place = await placeFor(t, {}, { 'a.csv': INPUTS.csv })
  for (const to of FORMATS) {
    for (const [words, fits] of WRITES) {
      const which = `${words.join(' ')} --to ${to}`
      const out = place.path(`${to}-${words[0]}`)
      const given = words.map(word => (word === 'errors.jsonl' ? `${out}-errors` : word))
      const { code, err } = await place.run([
        ...[...ASK, '-i', place.path('a.csv'), '--to', to, '-o', out, '--fresh'],
        ...given,
      ])
      if (fits.includes(to)) t.equal(code, 0, `${which}: ${err}`)
      else t.match([code, err], [2, new RegExp(`${words[0]} `)], which)
    }
  }
  const both = await place.run([
    ...[...ASK, '-i', place.path('a.csv'), '--schema', SCHEMA],
    ...['--spread', '--emit', 'response'],
  ])
  t.match(
    [both.code, both.err],
    [2, /--spread makes fields of a row; it cannot be combined with --emit response/],
  )
})

t.test('a default in a variable need not fit the format', async t => {
  const place = await placeFor(t, {}, { 'a.csv': INPUTS.csv, 'a.jsonl': INPUTS.jsonl })
  const env = { CLAUDE_BATCH_STREAM_CSV_SAFE: '1' }
  for (const to of ['jsonl', 'csv']) {
    const out = place.path(`rows.${to}`)
    const words = [...ASK, '-i', place.path('a.csv'), '-o', out]
    t.equal((await place.run(words, { env: { ...place.env, ...env } })).code, 0)
    t.match(readFileSync(out, 'utf8'), /#a/)
  }
})
