import { crc32 } from 'node:zlib'
import t from 'tap'
import { AppendFile } from '../../lib/store/append-file.ts'
import { nodeDisk } from '../../lib/store/disk.ts'
import { OrdinalReader, OrdinalWriter, positionOf } from '../../lib/store/ordinals.ts'
import { summing, type BatchFiles } from '../../lib/store/sums.ts'
import { openBelow } from '../support/descriptors.ts'

const filesAt = (path: string): BatchFiles => ({ disk: nodeDisk, path: () => path })

void t.test('ordinals are read back by position and as a whole', async t => {
  const folder = t.testdir()
  const ordinals = [0, 1, 255, 65_536, 2 ** 32 + 5, 2 ** 47]
  const { file, sum } = summing(await nodeDisk.open(`${folder}/m`, 'create'))
  const writer = new OrdinalWriter(new AppendFile(file, 0))
  for (const ordinal of ordinals) writer.append(ordinal)
  await writer.flush()
  await writer.sync()
  await writer.close()
  const batch = { number: 1, sums: { members: sum() } }
  await OrdinalReader.use(filesAt(`${folder}/m`), batch, async reader => {
    t.equal(reader.count, ordinals.length)
    t.equal(await reader.at(4), ordinals[4])
    t.equal(await reader.at(0), 0)
    t.same([...(await reader.all())], ordinals)
  })
  t.same(openBelow(folder), [])
})

void t.test('a reader that fails closes the file', async t => {
  const folder = t.testdir({ m: 'xxxxxx' })
  const batch = { number: 1, sums: { members: crc32('xxxxxx') } }
  const use = () => Promise.reject(new Error('no'))
  await t.rejects(OrdinalReader.use(filesAt(`${folder}/m`), batch, use), /no/)
  t.same(openBelow(folder), [])
})

void t.test('a number is found in an ascending list, at either end and nowhere', async t => {
  const some = Float64Array.from([2, 5, 9, 1000])
  t.same(
    [2, 5, 9, 1000].map(n => positionOf(n, some)),
    [0, 1, 2, 3],
  )
  t.same(
    [0, 3, 7, 999, 1001].map(n => positionOf(n, some)),
    [-1, -1, -1, -1, -1],
  )
  t.equal(positionOf(1, new Float64Array(0)), -1)
})
