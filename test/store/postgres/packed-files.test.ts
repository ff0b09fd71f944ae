import t from 'tap'
import { packFiles, unpackFiles } from '../../../lib/store/postgres/packed-files.ts'

t.test('near and distant ordinals survive packing', t => {
  const ordinals = [0, 1, 127, 128, 1000, 1_000_000, 2 ** 40]
  const members = Buffer.alloc(ordinals.length * 6)
  for (const [at, ordinal] of ordinals.entries()) members.writeUIntLE(ordinal, at * 6, 6)
  const files = new Map([
    ['members', members],
    ['ids', Buffer.from('a\nb\n')],
  ] as const)
  t.same(unpackFiles(packFiles(files)), files)
  t.end()
})
