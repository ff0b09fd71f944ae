import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { SourceRecord } from '../../lib/core/flow.ts'
import { openStoredJob } from '../../lib/store/open.ts'
import { csv, placeFor, rowsOf, type Place, type Ran } from './world.ts'

const ASK = ['-p', 'About {{text}}', '--batch-size', '40', '--shard-block', '3']

/** Runs all shards of a job, one after another. */
async function runAll(
  place: Place,
  count: number,
  words: readonly string[],
  stdin?: string | Buffer,
): Promise<Ran[]> {
  const runs: Ran[] = []
  for (let index = 0; index < count; index++)
    runs.push(
      await place.run([...ASK, ...words, '--job', 'nightly', '--shard', `${index}/${count}`], {
        stdin,
      }),
    )
  return runs
}

/** Rows without the ids that differ between any two runs. */
function comparable(jsonl: string): string {
  return jsonl.replaceAll(/"(custom_id|batch_id)":"[^"]*"/g, '"$1":""')
}

const codes = (runs: readonly Ran[]): number[] => runs.map(({ code }) => code)

void t.test('the merged rows of all shards equal those of one run, byte for byte', async t => {
  const jsonl = Array.from({ length: 50 }, (_, at) =>
    JSON.stringify({ id: at, text: `text ${at}`, ...(at === 31 && { more: 1 }) }),
  ).join('\n')
  const inputs: Readonly<Record<string, string | Buffer>> = {
    csv: csv(50),
    jsonl: `${jsonl}\n`,
    json: `[${jsonl.replaceAll('\n', ',')}]`,
    gzip: gzipSync(csv(50)),
  }
  for (const [format, stdin] of Object.entries(inputs)) {
    const place = await placeFor(t)
    const out = ['-o', place.path('part-{shard}.jsonl')]
    t.same(codes(await runAll(place, 4, out, stdin)), [0, 0, 0, 0], format)
    const whole = await place.run([...ASK.slice(0, 4), '--order', 'input'], { stdin })
    const merged = await place.run(['merge', 'nightly'])
    t.equal(merged.code, 0)
    t.equal(comparable(merged.out), comparable(whole.out), format)
    t.match(merged.err, 'job nightly, 4 shards: 50 rows: 50 succeeded')
    const first = rowsOf(place.read('part-00001.jsonl')).map(row => row._batch?.line)
    t.same(
      first,
      rowsOf(place.read('part-00001.jsonl'))
        .map(row => row._batch?.line)
        .toSorted(byNumber),
    )
    if (format === 'json' || format === 'gzip') continue
    const table = await place.run(['merge', 'nightly', '--to', 'csv'])
    const tableOfOne = await place.run(
      [...ASK.slice(0, 4), '--order', 'input', '--to', 'csv', '--fresh'],
      { stdin },
    )
    t.equal(table.out, tableOfOne.out, format)
    t.equal(
      (await place.run(['merge', 'nightly', '--to', 'csv', '--output-columns', 'id'])).code,
      0,
    )
  }
})

const byNumber = (a: unknown, b: unknown): number => Number(a) - Number(b)

void t.test('text lines and files are sharded, and files of other shards are not read', async t => {
  const place = await placeFor(t, {}, { 'a.txt': 'a', 'b.txt': 'b', 'c.txt': 'c', 'd.txt': 'd' })
  const files = ['-i', place.path('*.txt'), '--from', 'files', '--skip', '1', '--shard-block', '1']
  const shard = (index: number): string[] => [
    ...['-p', 'About {{text}}', '--job', 'f', '--shard', `${index}/2`, ...files],
  ]
  const rows = [await place.run(shard(0)), await place.run(shard(1))].map(ran =>
    ran.rows.map(row => row['name']),
  )
  t.same(rows, [['b.txt', 'd.txt'], ['c.txt']])
  const merged = await place.run(['merge', 'f'])
  t.same(
    merged.rows.map(row => row['name']),
    ['b.txt', 'c.txt', 'd.txt'],
  )
  const none = [
    '-p',
    'About {{text}}',
    '--job',
    'n',
    '--shard',
    '1/2',
    ...files,
    '--shard-block',
    '9',
  ]
  t.match(await place.run(none), { code: 0, out: '', err: /job n\.00001: 0 rows/ })
  const text = [
    '--from',
    'text',
    '-p',
    '{{input}}',
    '--job',
    't',
    '--shard-block',
    '1',
    '--limit',
    '3',
  ]
  const second = await place.run([...text, '--shard', '1/2'], { stdin: 'a\nb\nc\nd\n' })
  t.same(
    second.rows.map(row => row['input']),
    ['b'],
  )
})

void t.test('a shard without records finishes at once, and merge accepts it', async t => {
  const place = await placeFor(t)
  const runs = await runAll(place, 3, ['--to', 'csv'], csv(4))
  t.same(codes(runs), [0, 0, 0])
  t.match(runs[2]?.err, 'job nightly.00002: 0 rows: none')
  t.equal(runs[2]?.out, 'id,text,response,status,error\n')
  t.equal((await place.run(['merge', 'nightly'])).out.split('\n').length, 6)
  t.same(codes(await runAll(place, 3, ['--to', 'csv'], csv(4))), [0, 0, 0])
  t.equal((await place.emulator.ledger.byRequest()).size, 4)
})

void t.test(
  'merge checks answers against the schema, and a table of empty records has a column',
  async t => {
    const place = await placeFor(t, { respond: () => '{"mood":"good"}' })
    const properties = { mood: { type: 'string' } }
    const words = ['--schema', JSON.stringify({ type: 'object', properties }), '--to', 'csv']
    const runs = await runAll(place, 2, ['-p', 'Hi', ...words], '{}\n{}\n{}\n{}\n')
    t.same(codes(runs), [0, 0])
    const table = 'input,mood,status,error\n' + ',good,succeeded,\n'.repeat(4)
    t.equal((await place.run(['merge', 'nightly', '--to', 'csv'])).out, table)
    t.equal(
      (await place.run(['results', 'nightly.00001', '--to', 'csv'])).out.split('\n')[0],
      'input,mood,status,error',
    )
  },
)

void t.test('an empty input creates no shard job', async t => {
  const place = await placeFor(t)
  const [ran] = await runAll(place, 1, [], '')
  t.match(ran, { code: 0, err: /no input/ })
  t.match(await place.run(['merge', 'nightly']), { code: 2, err: /has no shards/ })
})

void t.test('the number of shards, the block size and the command of a job are fixed', async t => {
  const place = await placeFor(t)
  await runAll(place, 3, [], csv(20))
  const changed = async (...words: string[]): Promise<Ran> =>
    await place.run([...ASK, '--job', 'nightly', ...words], { stdin: csv(20) })
  t.match(await changed('--shard', '1/4'), {
    code: 6,
    err: /was started as shard 0\/3 .* not as shard 0\/4/,
  })
  t.match(await changed('--shard', '3/4'), { code: 6, err: /nightly.00000 was started as/ })
  t.match(await changed('--shard', '0/2'), { code: 6 })
  t.match(await changed('--shard', '1/3', '--shard-block', '4'), { code: 6, err: /blocks of 4/ })
  t.match(await changed('--shard', '1/3', '-m', 'claude-opus-4-6'), {
    code: 6,
    err: /made by another command/,
  })
  t.equal((await place.emulator.ledger.byRequest()).size, 20)
  // Without the flag the block size is the one that the job has.
  const same = ['-p', 'About {{text}}', '--batch-size', '40', '--job', 'nightly', '--shard', '1/3']
  t.match(await place.run(same, { stdin: csv(20) }), { code: 0, err: /already has the answers/ })
  const other = ['--job', 'nightly.00007', ...ASK.slice(0, 4)]
  await place.run(other, { stdin: csv(2) })
  t.match(await changed('--shard', '7/8', '--shard-block', '3'), { code: 6 })
})

void t.test('--fresh starts each shard again', async t => {
  const place = await placeFor(t)
  await runAll(place, 2, [], csv(20))
  const anew = await place.run([...ASK, '--job', 'nightly', '--shard', '1/3', '--fresh'], {
    stdin: csv(20),
  })
  t.equal(anew.code, 0)
  t.match(await place.run(['merge', 'nightly']), {
    code: 6,
    err: /do not have the same number of shards/,
  })
})

void t.test(
  'merge is refused while shards are missing, unfinished or damaged, and names them',
  async t => {
    const place = await placeFor(t, {
      batchTimeMs: ({ number }) => (number === 1 ? 600_000 : 10),
    })
    const shard = (index: number): string[] => [
      ...[...ASK, '--job', 'nightly', '--shard', `${index}/4`],
    ]
    await place.run([...shard(2), '--detach'], { stdin: csv(12) })
    await place.run(shard(1), { stdin: csv(12) })
    const out = place.path('out.jsonl')
    t.match(await place.run(['merge', 'nightly', '-o', out]), {
      code: 6,
      err: /4 shards, and nothing was written, because some are not in .*: nightly.00000, nightly.00003; not finished: nightly.00002/,
    })
    t.notOk(existsSync(out))
    writeFileSync(`${place.state}/jobs/nightly.00001/journal.jsonl`, 'x\n')
    t.match(await place.run(['merge', 'nightly']), {
      code: 10,
      err: /nightly.00001 cannot be used/,
    })
    t.match(await place.run(['merge', 'nowhere']), { code: 2, err: /has no shards/ })
    await place.run([...ASK.slice(0, 4), '--job', 'plain'], { stdin: csv(2) })
    t.match(await place.run(['merge', 'plain']), { code: 2, err: /results plain/ })
  },
)

void t.test('a job is not started as a whole and in shards', async t => {
  const place = await placeFor(t)
  const words = ['-p', 'Say {{text}}', '--job']
  const stdin = csv(6)
  t.equal((await place.run([...words, 'a', '--shard', '0/2'], { stdin })).code, 0)
  t.equal((await place.run([...words, 'b'], { stdin })).code, 0)
  const { accepted } = await place.emulator.ledger.totals()
  t.match(await place.run([...words, 'a'], { stdin }), {
    code: 6,
    err: /job a is divided into shards \(--shard\); nothing was sent/,
  })
  t.match(await place.run([...words, 'b', '--shard', '1/2'], { stdin }), {
    code: 6,
    err: /job b is not divided into shards; nothing was sent/,
  })
  t.equal((await place.emulator.ledger.totals()).accepted, accepted)
  t.equal((await place.run([...words, 'a', '--fresh'], { stdin })).code, 0)
})

void t.test('merge refuses a shard under the name of another one', async t => {
  const place = await placeFor(t)
  await runAll(place, 2, [], csv(8))
  const [first, second] = ['nightly.00000', 'nightly.00001'].map(name =>
    place.path(`state/jobs/${name}`),
  ) as [string, string]
  t.equal((await place.run(['merge', 'nightly'])).code, 0)
  renameSync(second, place.path('second'))
  cpSync(first, second, { recursive: true })
  const wrong = await place.run(['merge', 'nightly'])
  const err = /the folder nightly.00001 has shard 0 of job nightly, under the name of shard 1/
  t.match(wrong, { code: 6, out: '', err })
  rmSync(first, { recursive: true })
  renameSync(place.path('second'), first)
  t.match(await place.run(['merge', 'nightly']), { code: 6, out: '', err: /00000 has shard 1/ })
})

void t.test('merge names only a few of many missing shards', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'nightly', '--shard', '3/50'], { stdin: csv(12) })
  t.match(await place.run(['merge', 'nightly']), { err: /nightly.00020 and 29 more/ })
})

void t.test('merge refuses shards that read different inputs', async t => {
  const place = await placeFor(t)
  const shard = (index: number): string[] => [...ASK, '--job', 'nightly', '--shard', `${index}/2`]
  await place.run(shard(0), { stdin: csv(20) })
  await place.run(shard(1), { stdin: csv(10) })
  t.match(await place.run(['merge', 'nightly']), {
    code: 6,
    out: '',
    err: /did not read the same input: of 15 records nightly.00000 should have 9 and has 11/,
  })
})

void t.test('merge refuses shards that read the same number of different records', async t => {
  const place = await placeFor(t)
  const lines = csv(20).trimEnd().split('\n')
  const turned = [lines[0], ...lines.slice(1).toReversed()].join('\n')
  const shard = (index: number): string[] => [...ASK, '--job', 'nightly', '--shard', `${index}/2`]
  await place.run(shard(0), { stdin: csv(20) })
  await place.run(shard(1), { stdin: turned })
  t.match(await place.run(['merge', 'nightly']), {
    code: 6,
    out: '',
    err: /did not read the same input: that of nightly.00000 and that of nightly.00001 differ/,
  })
})

void t.test('merge refuses shards that read different files', async t => {
  for (const [job, added, code] of [
    ['same', 'b', 0],
    ['other', 'c', 6],
  ] as const) {
    const place = await placeFor(t)
    const folder = place.path(job)
    mkdirSync(folder)
    for (const name of ['a', 'b']) writeFileSync(`${folder}/${name}`, name)
    const words = ['--from', 'files', '-i', `${folder}/*`, '-p', '{{text}}', '--job', job]
    for (const index of [0, 1]) {
      const ran = await place.run([...words, '--shard', `${index}/2`, '--shard-block', '1'])
      t.equal(ran.code, 0, ran.err)
      if (index === 0) renameSync(`${folder}/b`, `${folder}/${added}`)
    }
    t.equal((await place.run(['merge', job])).code, code)
  }
})

void t.test(
  'truncated input ends every shard with an error, and the complete input continues all of them',
  async t => {
    const place = await placeFor(t)
    const packed = gzipSync(csv(300))
    t.same(codes(await runAll(place, 2, [], packed.subarray(0, -300))), [6, 6])
    t.match(await place.run(['merge', 'nightly']), {
      code: 6,
      out: '',
      err: /not finished, as their input ended too early: nightly.00000, nightly.00001/,
    })
    t.same(codes(await runAll(place, 2, [], packed)), [0, 0])
    t.equal((await place.run(['merge', 'nightly'])).rows.length, 300)
    t.match(await place.emulator.ledger.totals(), { accepted: 300, acceptedTwice: 0 })
  },
)

void t.test(
  'failed rows of shards go to separate files, and merge reports that some failed',
  async t => {
    const place = await placeFor(t, {
      respond: params =>
        JSON.stringify(params).includes('text 4')
          ? { error: { type: 'invalid_request_error', message: 'no' } }
          : undefined,
    })
    const files = [
      '-o',
      place.path('p-{shard}.jsonl'),
      '--errors',
      place.path('e-{shard}.jsonl'),
      '--events',
      place.path('v-{shard}.jsonl'),
    ]
    t.same(codes(await runAll(place, 2, files, csv(8))), [0, 3])
    t.equal(rowsOf(place.read('e-00001.jsonl')).length, 1)
    t.match(place.read('v-00001.jsonl'), '"job":"nightly.00001"')
    const merged = await place.run(['merge', 'nightly', '--errors', place.path('failed.jsonl')])
    t.equal(merged.code, 3)
    t.same([merged.rows.length, rowsOf(place.read('failed.jsonl')).length], [7, 1])
  },
)

void t.test(
  'output files of shards need {shard} in their names, and other runs must not have it',
  async t => {
    const place = await placeFor(t)
    const shard = [...ASK, '--job', 'nightly', '--shard', '0/2']
    const refused = async (words: readonly string[], err: RegExp): Promise<void> => {
      t.match(await place.run(words, { stdin: csv(2) }), { code: 2, err })
    }
    await refused([...shard, '-o', place.path('out')], /put {shard} into its name/)
    await refused([...shard, '--errors', place.path('out')], /--errors .* put {shard}/)
    await refused(
      [...shard, '--order', 'completion'],
      /--order completion cannot be combined with --shard/,
    )
    await refused([...ASK.slice(0, 4), '-o', place.path('{shard}')], /has a {shard}/)
    await refused([...ASK.slice(0, 4), '--events', place.path('{shard}')], /has a {shard}/)
    await refused([...ASK, '--shard', '0/2'], /--shard needs --job NAME/)
    await refused(
      [...ASK, '--shard', '0/2', '--job', 'x'.repeat(59)],
      /at most 58 characters, got 59/,
    )
    const one = [...ASK, '--job', 'one', '--shard', '0/1', '-o', place.path('one')]
    t.equal((await place.run(one, { stdin: csv(2) })).code, 0)
  },
)

void t.test('each shard gets its share of --max-cost', async t => {
  const place = await placeFor(t)
  const [ran, second] = await runAll(place, 2, ['--max-cost', '0.0001'], csv(20))
  t.match(ran, { code: 4, err: /--max-cost \$0.000100 for 2 shards: \$0.0000500 for this one/ })
  t.match(second, { code: 4 })
  const alone = ['--max-cost', '5', '--job', 'one', '--shard', '0/1']
  t.notMatch((await place.run([...ASK, ...alone], { stdin: csv(2) })).err, /for this one/)
})

void t.test(
  'a shard is resumed by the name of its job, or by the common name and its number',
  async t => {
    const place = await placeFor(t)
    const shard = [...ASK, '--job', 'nightly', '-o', place.path('p-{shard}'), '--shard']
    for (const part of ['0/2', '1/2']) {
      const ran = await place.run([...shard, part, '--detach'], { stdin: csv(20) })
      t.match(ran, { code: 0, out: `nightly.0000${part[0]}\n` })
    }
    t.match(await place.run(['resume', 'nightly']), {
      code: 2,
      err: /has shards, and each of them is a job: name one \(nightly.00000 to nightly.00001\)/,
    })
    t.match(await place.run(['resume', 'nightly', '--shard', '0/3']), {
      code: 6,
      err: /not as shard 0\/3/,
    })
    t.match(await place.run(['resume', '--shard', '0/2']), {
      code: 2,
      err: /needs the name of the job/,
    })
    await place.run(['-p', 'Hi', '--job', 'whole.00001', '--detach'], { stdin: csv(2) })
    t.match(await place.run(['resume', 'whole', '--shard', '1/2']), {
      code: 6,
      err: /whole\.00001 was started without shards/,
    })
    t.match(await place.run(['resume', 'nightly', '--shard', '1/2']), { code: 0 })
    t.match(await place.run(['resume', 'nightly.00000', '-o', place.path('q-{shard}')]), {
      code: 0,
    })
    t.equal(rowsOf(place.read('p-00001')).length + rowsOf(place.read('q-00000')).length, 20)
    const again = await place.run(['results', 'nightly.00001', '-o', place.path('r-{shard}')])
    t.equal(again.code, 0)
    t.equal(place.read('r-00001'), place.read('p-00001'))
    t.match(await place.run(['retry', 'nightly.00001', '-o', place.path('s-{shard}')]), { code: 0 })
  },
)

void t.test('list and status show the shards of a job', async t => {
  const place = await placeFor(t)
  await runAll(place, 2, [], csv(4))
  t.match((await place.run(['list'])).out, /nightly.00001 +finished, shard 1\/2 .* 1 of 1 /)
  const listed = rowsOf((await place.run(['list', '--json'])).out)
  t.match(listed[1], { job: 'nightly.00001', shard: { index: 1, count: 2, block: 3 } })
  const shown = await place.run(['status', 'nightly', '--watch', '--json'])
  t.match(rowsOf(shown.out), [{ job: 'nightly.00000' }, { job: 'nightly.00001' }])
  t.match(await place.run(['status', 'other']), { code: 2 })
})

void t.test('merge refuses shards that were made by different commands', async t => {
  const [one, two] = [await placeFor(t), await placeFor(t)]
  const shard = ['--job', 'nightly', '--shard-block', '2']
  await one.run([...ASK, ...shard, '--shard', '0/2'], { stdin: csv(4) })
  const words = ['-p', 'Tell {{text}}', ...shard, '--shard', '1/2', '--state-dir', one.path('two')]
  await two.run(words, { stdin: csv(4) })
  cpSync(one.path('two/jobs/nightly.00001'), `${one.state}/jobs/nightly.00001`, { recursive: true })
  t.match(await one.run(['merge', 'nightly']), {
    code: 6,
    out: '',
    err: /job nightly\.00001 was made by another command than nightly\.00000/,
  })
})

void t.test('prune keeps a finished shard while another one is unfinished', async t => {
  const place = await placeFor(t, { batchTimeMs: ({ number }) => (number === 2 ? 600_000 : 10) })
  const shard = (part: string): string[] => [...ASK, '--job', 'nightly', '--shard', part]
  await place.run(shard('0/2'), { stdin: csv(4) })
  await place.run([...shard('1/2'), '--detach'], { stdin: csv(4) })
  await place.run(['prune', '--keep', '0s'])
  t.ok(existsSync(`${place.state}/jobs/nightly.00000`))
  rmSync(`${place.state}/jobs/nightly.00001`, { recursive: true })
  await place.run(['prune', '--keep', '0s'])
  t.notOk(existsSync(`${place.state}/jobs/nightly.00000`))
})

void t.test('estimate, --dry-run and --emulate work with a shard', async t => {
  const place = await placeFor(t)
  const shard = [...ASK, '--job', 'nightly', '--shard', '1/2']
  t.match((await place.run(['estimate', ...shard], { stdin: csv(4) })).out, /1 record/)
  t.match((await place.run([...shard, '--dry-run'], { stdin: csv(4) })).err, /1 record/)
  t.match(await place.run([...shard, '--emulate'], { stdin: csv(4) }), { code: 0, err: /1 row/ })
  t.notOk(existsSync(`${place.state}/jobs`))
})

void t.test('merge never hides a missing row', async t => {
  const place = await placeFor(t)
  await runAll(place, 1, [], csv(4))
  const card = place.read('state/jobs/nightly.00000/job.json')
  rmSync(`${place.state}/jobs/nightly.00000`, { recursive: true })
  const shard = { index: 0, count: 1, block: 3 }
  const job = await openStoredJob({ dir: place.state, name: 'nightly.00000', shard })
  const raw = Buffer.from('{"id":1}')
  await job.input.appendOrVerify(new SourceRecord(raw, { line: 1 }))
  await job.input.complete()
  await job.note({ type: 'finished', at: 0 }, true)
  await job.close()
  writeFileSync(`${job.store.folder}/job.json`, card)
  t.match(await place.run(['merge', 'nightly']), {
    code: 1,
    err: /have 1 record and gave 0 rows/,
  })
})
