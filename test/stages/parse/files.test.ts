import { join } from 'node:path'
import t from 'tap'
import { each, from } from '../../../lib/core/chain.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { attachedFile, FILE_FIELDS, parseFiles } from '../../../lib/stages/parse/files.ts'

const PDF = '%PDF-1.7 and so on'

async function recordsOf(paths: readonly string[], options = {}): Promise<SourceRecord[]> {
  const records: SourceRecord[] = []
  for await (const record of each(from(paths, parseFiles(options)))) records.push(record)
  return records
}

void t.test('each file is one record, in the order of the paths', async t => {
  const dir = t.testdir({ 'b.TXT': 'Grüße\n\n"you"\n', 'a.pdf': PDF, none: '' })
  const records = await recordsOf(['b.TXT', 'a.pdf', 'none'], { dir })
  t.same(
    records.map(({ raw }) => JSON.parse(raw.toString())),
    [
      { path: 'b.TXT', name: 'b.TXT', ext: 'txt', text: 'Grüße\n\n"you"\n' },
      { path: 'a.pdf', name: 'a.pdf', ext: 'pdf' },
      { path: 'none', name: 'none', ext: '', text: '' },
    ],
  )
  t.same(
    records.map(({ fields }) => fields),
    records.map(({ raw }) => JSON.parse(raw.toString())),
  )
  t.same(
    records.map(({ source }) => source),
    ['b.TXT', 'a.pdf', 'none'],
  )
  t.same(Object.keys(records[0]?.fields ?? {}), FILE_FIELDS)
})

void t.test('a path is kept as given, including its folders', async t => {
  const dir = t.testdir({ in: { 'a.txt': 'x' } })
  const path = join(dir, 'in', 'a.txt')
  t.match((await recordsOf([path]))[0]?.fields, { path, name: 'a.txt', text: 'x' })
  t.match((await recordsOf(['in/a.txt'], { dir }))[0]?.fields, { path: 'in/a.txt' })
})

void t.test('a file that cannot be read is a record with a problem', async t => {
  const dir = t.testdir({
    'a.txt': 'caf\xe9',
    'b.bin': Buffer.from('00ff', 'hex'),
    'c.txt': 'long',
  })
  const records = await recordsOf(['gone.txt', 'b.bin', 'c.txt', '.'], { dir, maxRecordBytes: 3 })
  t.same(
    records.map(({ problem }) => problem?.type),
    ['missing_file', 'invalid_utf8', 'file_too_large', 'unreadable_file'],
  )
  t.same(records[0]?.fields, { path: 'gone.txt', name: 'gone.txt', ext: 'txt' })
})

void t.test('images and PDFs are attached, texts are not', async t => {
  const dir = t.testdir({ 'a.txt': 'x', 'a.pdf': PDF })
  const records = await recordsOf(['a.txt', 'a.pdf'], { dir })
  t.same(
    records.map(({ fields }) => attachedFile(fields)),
    [undefined, 'a.pdf'],
  )
})

void t.test('invalid options and values that are not paths are rejected', async t => {
  t.throws(() => parseFiles({ maxRecordBytes: 0 }), { code: 'CBS_OPTION' })
  // @ts-expect-error a folder is a path
  t.throws(() => parseFiles({ dir: 5 }), { code: 'CBS_OPTION' })
  // @ts-expect-error bytes are no paths
  const all = from([Buffer.from('a')], parseFiles())
  await t.rejects(
    async () => {
      for await (const _ of all) t.fail('nothing comes')
    },
    { code: 'CBS_STAGE', message: /takes paths/ },
  )
})
