import t from 'tap'
import { placeFor } from './world.ts'

const SCHEMA = JSON.stringify({
  type: 'object',
  properties: { mood: { enum: ['good', 'bad'] }, score: { type: 'integer' } },
  required: ['mood', 'score'],
})
const answer = (): string => '{"mood":"good","score":3}'
const WORDS = ['-p', '{{text}}', '--schema', SCHEMA, '--spread']

void t.test(
  '--schema accepts inline JSON, and --spread turns its properties into fields of the row',
  async t => {
    const place = await placeFor(t, { respond: answer })
    const ran = await place.run([...WORDS, '--job', 'j'], { stdin: '{"text":"a"}\n{}\n' })
    t.match(ran.out, /^\{"text":"a","mood":"good","score":3,"_batch":\{/)
    t.match(ran.rows[1], { mood: null, score: null, _batch: { status: 'rejected' } })
    t.equal((await place.run(['results', 'j'])).out, ran.out)
    const chosen = await place.run(['results', 'j', '--meta-field', 'none'])
    t.match(chosen.out, /^\{"text":"a","mood":"good","score":3\}\n\{"mood":null,"score":null\}\n$/)
  },
)

void t.test(
  'the failed rows of a spread run can be sent again, and answered ones are not replaced',
  async t => {
    let isGood = false
    const respond = (): string => (isGood ? answer() : '{"mood":"so so"}')
    const place = await placeFor(t, { respond })
    const first = await place.run(WORDS, { stdin: '{"text":"a"}\n' })
    t.match(first.rows, [
      { mood: null, score: null, _batch: { status: 'invalid', text: respond() } },
    ])
    const skipped = await place.run(WORDS, { stdin: first.out })
    t.match(skipped, { code: 3, out: first.out })
    isGood = true
    const again = await place.run([...WORDS, '--ask-failed'], { stdin: first.out })
    t.match(again.rows, [{ text: 'a', mood: 'good', score: 3, _batch: { status: 'succeeded' } }])
    t.equal(again.out.split('"mood"').length, 2, 'the field is there once')
  },
)

void t.test(
  'a first record with a field of that name ends the command before anything is sent; a later one is rejected',
  async t => {
    const place = await placeFor(t, { respond: answer })
    const clash = await place.run(WORDS, { stdin: '{"text":"a","mood":"mine"}\n' })
    t.match(clash, { code: 6, err: /already has a field "mood", so nothing was sent.*--spread/ })
    t.same(place.emulator.ledger.batches(), [])
    const many = `${'{"text":"a"}\n'.repeat(200)}{"text":"b","mood":"mine"}\n`
    const ran = await place.run(WORDS, { stdin: many })
    t.match(ran.rows.at(-1), { mood: 'mine', score: null, _batch: { status: 'rejected' } })
  },
)

void t.test('results --spread never replaces a field of the record', async t => {
  const place = await placeFor(t, { respond: answer })
  const words = ['-p', '{{text}}', '--schema', SCHEMA, '--job', 'j']
  await place.run(words, { stdin: '{"text":"a","mood":"mine"}\n' })
  const ran = await place.run(['results', 'j', '--spread'])
  t.match(ran, {
    code: 6,
    out: '',
    err: /has a field "mood", which the answer would overwrite: omit --spread/,
  })
})

void t.test(
  '--spread needs an object schema, rows with fields, and a different meta field',
  async t => {
    const place = await placeFor(t)
    const stdin = '{"text":"a"}\n'
    const refused = async (words: readonly string[], why: RegExp): Promise<void> => {
      t.match(await place.run(['-p', '{{text}}', ...words], { stdin }), { code: 2, err: why })
    }
    await refused(['--spread'], /needs a --schema/)
    await refused(['--spread', '--schema', '{"enum":["a"]}'], /of type "object"/)
    await refused(['--spread', '--schema', SCHEMA, '--to', 'raw'], /have no fields/)
    await refused(['--spread', '--schema', SCHEMA, '--meta-field', 'mood'], /is the meta field/)
    await refused(['--schema', '{"enum"'], /must be JSON/)
    await place.run(['-p', '{{text}}', '--job', 'j'], { stdin })
    t.match(await place.run(['results', 'j', '--spread']), { code: 2, err: /needs a job/ })
  },
)

void t.test('--enum: the response is one of the values, in every format', async t => {
  const place = await placeFor(t)
  const words = ['-p', '{{text}}', '--enum', 'positive, negative', '--fresh']
  const stdin = '{"text":"a"}\n'
  const shown = await place.run([...words, '--show', '1'], { stdin })
  t.match(JSON.parse(shown.out).params.output_config.format.schema, {
    properties: { response: { enum: ['positive', 'negative'] } },
    required: ['response'],
  })
  const ran = await place.run(words, { stdin })
  t.match(ran.rows, [{ text: 'a', response: /^(positive|negative)$/ }])
  const text = await place.run([...words, '--to', 'text'], { stdin })
  t.match(text.out, /^(positive|negative)\n$/)
  const table = await place.run([...words, '--to', 'csv', '--response-field', 'mood'], { stdin })
  t.match(table.out, /^text,mood,status,error\na,(positive|negative),succeeded,\n$/)
})

void t.test('--enum needs several distinct values, and excludes --schema', async t => {
  const place = await placeFor(t)
  for (const values of ['one', 'a,a', 'a,', ''])
    t.match(await place.run(['-p', 'x', '--enum', values]), { code: 2, err: /--enum must be/ })
  t.match(await place.run(['-p', 'x', '--enum', 'a,b', '--schema', '{}']), {
    code: 2,
    err: /give one of them/,
  })
})
