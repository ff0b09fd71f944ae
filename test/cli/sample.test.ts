import t from 'tap'
import { csv, placeFor } from './world.ts'

const PROMPT = ['-p', '{{text}}']

void t.test(
  '--sample sends the given number of records in input order, the same ones for the same seed',
  async t => {
    const place = await placeFor(t, {}, { 'in.csv': csv(500) })
    const sample = async (...more: string[]): Promise<number[]> => {
      const words = ['-i', place.path('in.csv'), ...PROMPT, '--sample', '20', ...more]
      const ran = await place.run([...words, '--order', 'input', '--fresh'])
      t.equal(ran.code, 0, ran.err)
      return ran.rows.map(({ id }) => Number(id))
    }
    const first = await sample()
    t.equal(first.length, 20)
    t.same(
      first,
      [...first].sort((a, b) => a - b),
    )
    t.same(await sample(), first)
    t.same(await sample('--seed', '1'), first)
    t.notSame(await sample('--seed', 'other'), first)
    t.ok(Math.max(...first) > 250, 'the sample reaches beyond the head')
  },
)

void t.test('every record has the same chance of being sampled', async t => {
  const place = await placeFor(t, {}, { 'in.csv': csv(10) })
  const times = Array.from({ length: 10 }, () => 0)
  for (let seed = 0; seed < 200; seed++) {
    const words = ['-i', place.path('in.csv'), ...PROMPT, '--sample', '3', '--seed', String(seed)]
    const shown = await place.run([...words, '--show', '10'])
    for (const text of shown.out.match(/text \d/g) ?? []) {
      const at = Number(text.slice(-1))
      times[at] = (times[at] ?? 0) + 1
    }
  }
  // 60 are expected; the standard deviation is 6.5.
  for (const count of times) t.ok(count > 30 && count < 90, String(times))
})

void t.test('a sample that is larger than the input is the whole input', async t => {
  const place = await placeFor(t, {}, { 'in.csv': csv(3) })
  const ran = await place.run([
    '-i',
    place.path('in.csv'),
    ...PROMPT,
    '--sample',
    '9',
    '--order',
    'input',
  ])
  t.same(
    ran.rows.map(({ id, _batch }) => [id, _batch?.line]),
    [
      ['0', 2],
      ['1', 3],
      ['2', 4],
    ],
  )
})

void t.test(
  'a sample is taken after --skip and --limit, and invalid records keep their reason',
  async t => {
    const stdin = ['{"text":"a"}', '{"text":"b"}', '{broken', '{"text":"d"}', ''].join('\n')
    const place = await placeFor(t)
    const words = [...PROMPT, '--skip', '1', '--limit', '2', '--sample', '2', '--order', 'input']
    const ran = await place.run(words, { stdin })
    t.equal(ran.code, 3)
    t.match(ran.rows, [
      { text: 'b', _batch: { status: 'succeeded', line: 2 } },
      { _batch: { status: 'rejected', line: 3 } },
    ])
  },
)

void t.test('a sample of records larger than the buffer of a file is complete', async t => {
  const large = (id: number): string => JSON.stringify({ id, text: String(id).repeat(200_000) })
  const stdin = Array.from({ length: 9 }, (_, id) => `${large(id + 1)}\n`).join('')
  const place = await placeFor(t)
  const ran = await place.run([...PROMPT, '--sample', '4', '--order', 'input'], { stdin })
  t.equal(ran.code, 0, ran.err)
  t.equal(ran.rows.length, 4)
  for (const { id, text } of ran.rows) t.equal(text, String(id).repeat(200_000))
})

void t.test('a sample of files reads only the files in it', async t => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const place = await placeFor(t, {}, Object.fromEntries(names.map(name => [`${name}.txt`, name])))
  const words = ['-i', place.path('*.txt'), '--from', 'files', ...PROMPT]
  const ran = await place.run([...words, '--sample', '2', '--order', 'input'])
  const found = ran.rows.map(({ text }) => String(text))
  t.equal(found.length, 2)
  t.same(found, [...found].sort())
})

void t.test('--seed without --sample, and --sample of an endless input, are refused', async t => {
  const place = await placeFor(t)
  t.match(await place.run([...PROMPT, '--seed', '1']), { code: 2, err: /give both/ })
  for (const flag of ['--batch-wait', '--batch-age'])
    t.match(await place.run([...PROMPT, '--sample', '1', flag, '1s']), {
      code: 2,
      err: /reads the whole input first/,
    })
})
