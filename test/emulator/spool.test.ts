import { readdirSync } from 'node:fs'
import t from 'tap'
import { EmulatorSpool, type SpoolFile } from '../../lib/emulator/spool.ts'

async function all(file: SpoolFile): Promise<string[]> {
  const items: string[] = []
  for await (const block of file.read()) for (const item of block) items.push(item.toString())
  return items
}

t.test('items are read back unchanged, whatever their sizes', async t => {
  const spool = await EmulatorSpool.open()
  t.teardown(() => spool.close())
  const items = [
    '',
    'a',
    '\n',
    'x'.repeat(300_000),
    'after',
    'y'.repeat(262_140),
    'z'.repeat(262_141),
    'end',
  ]
  const writer = await spool.create()
  for (const item of items) await writer.add(Buffer.from(item))
  const file = await writer.end()
  t.same(await all(file), items)
  t.ok(file.blocks.length > 4)
  t.equal(
    file.blocks.reduce((sum, block) => sum + block.items, 0),
    items.length,
  )
})

t.test('small items share a block, and are read block by block', async t => {
  const spool = await EmulatorSpool.open()
  t.teardown(() => spool.close())
  const writer = await spool.create()
  const items = Array.from({ length: 20_000 }, (_, i) => `item ${i} ${'-'.repeat(40)}`)
  for (const item of items) await writer.add(Buffer.from(item))
  const file = await writer.end()
  t.ok(file.blocks.length >= 3 && file.blocks.length <= 6, `${file.blocks.length} blocks`)
  t.same(await all(file), items)
})

t.test('discarded or removed spools leave no file', async t => {
  const spool = await EmulatorSpool.open()
  t.teardown(() => spool.close())
  const discarded = await spool.create()
  await discarded.add(Buffer.from('a'))
  await discarded.discard()
  const empty = await (await spool.create()).end()
  t.same(await all(empty), [])
  await empty.remove()
  t.same(readdirSync(spool.folder), [])
})
