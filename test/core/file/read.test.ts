import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readFile } from '../../../lib/core/file/read.ts'
import { needs } from '../../support/needs.ts'

const PDF = `%PDF-1.7\n${'x'.repeat(5000)}`

void t.test('a file is read whole, with its type', async t => {
  const dir = t.testdir({ 'a.txt': 'some text', 'b.pdf': PDF, empty: '' })
  t.same(await readFile(join(dir, 'a.txt'), { most: 100 }), {
    mediaType: undefined,
    bytes: Buffer.from('some text'),
  })
  t.same(await readFile(join(dir, 'b.pdf'), { most: 10_000 }), {
    mediaType: 'application/pdf',
    bytes: Buffer.from(PDF),
  })
  t.same(await readFile(join(dir, 'empty'), { most: 1 }), {
    mediaType: undefined,
    bytes: Buffer.alloc(0),
  })
})

void t.test('with textOnly only the first bytes of a PDF are read', async t => {
  const dir = t.testdir({ 'b.pdf': PDF })
  t.same(await readFile(join(dir, 'b.pdf'), { most: 10, textOnly: true }), {
    mediaType: 'application/pdf',
    bytes: Buffer.alloc(0),
  })
})

void t.test('a file of the maximum size is read, one byte more is rejected', async t => {
  const dir = t.testdir({ a: 'x'.repeat(64) })
  const path = join(dir, 'a')
  t.same(await readFile(path, { most: 64 }), {
    mediaType: undefined,
    bytes: Buffer.from('x'.repeat(64)),
  })
  const message = `the file ${path} has 64 bytes; the maximum is 63`
  t.same(await readFile(path, { most: 63 }), { type: 'file_too_large', message })
})

void t.test('a file without a size is limited too', needs('/proc/self/status'), async t => {
  // The kernel reports 0 bytes for these.
  t.match(await readFile('/proc/self/status', { most: 0 }), { type: 'file_too_large' })
})

void t.test(
  'a file that cannot be read to its end is a problem',
  needs('/proc/self/mem'),
  async t => {
    t.match(await readFile('/proc/self/mem', { most: 100 }), {
      type: 'unreadable_file',
      message: /cannot be read: EIO/,
    })
  },
)

void t.test('a file that is not regular is a problem, and never a wait', async t => {
  const dir = t.testdir({ folder: {} })
  execFileSync('mkfifo', [join(dir, 'pipe')])
  for (const name of ['folder', 'pipe'])
    t.match(await readFile(join(dir, name), { most: 100 }), {
      type: 'unreadable_file',
      message: /is not a regular file$/,
    })
})

void t.test('a missing file, a broken link and a path below a file are problems', async t => {
  const dir = t.testdir({ a: 'text' })
  symlinkSync(join(dir, 'gone'), join(dir, 'link'))
  for (const name of ['gone', 'link']) {
    const message = `there is no file ${join(dir, name)}`
    t.same(await readFile(join(dir, name), { most: 1 }), { type: 'missing_file', message })
  }
  t.match(await readFile(join(dir, 'a', 'b'), { most: 1 }), {
    type: 'unreadable_file',
    message: /a\/b cannot be read: ENOTDIR/,
  })
})

void t.test('a file that grows while it is read is limited', async t => {
  const dir = t.testdir({ a: 'x'.repeat(10) })
  const path = join(dir, 'a')
  const reading = readFile(path, { most: 10 })
  appendFileSync(path, 'y'.repeat(1000))
  t.match(await reading, { type: 'file_too_large' })
})

void t.test(
  'a file without read permission is a problem',
  { skip: process.getuid?.() === 0 && 'root may read everything' },
  async t => {
    const dir = t.testdir({ a: 'x' })
    chmodSync(join(dir, 'a'), 0)
    t.match(await readFile(join(dir, 'a'), { most: 10 }), { type: 'unreadable_file' })
  },
)
