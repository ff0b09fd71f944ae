import t from 'tap'
import { keyOf } from '../../../lib/core/request-key.ts'
import { nodeDisk, type Disk } from '../../../lib/store/disk.ts'
import { AnswerIndex, type KeyBlock } from '../../../lib/store/results/answer-index.ts'

/** Keys of these texts, as one block. */
const blockOf = (texts: readonly string[]): KeyBlock => ({
  bytes: Buffer.concat(texts.map(text => keyOf(text))),
  stride: 16,
  count: texts.length,
  number: 0,
})

async function indexOf(texts: readonly string[], slice?: number): Promise<AnswerIndex> {
  return await indexOfKeys(blockOf(texts), slice)
}

async function indexOfKeys(block: KeyBlock, slice?: number): Promise<AnswerIndex> {
  const disk: Disk = nodeDisk
  const keys = async function* (): AsyncGenerator<KeyBlock> {
    yield block
  }
  const path = `${t.testdirName}-index`
  return await AnswerIndex.create(
    disk,
    path,
    block.count,
    keys,
    slice === undefined ? {} : { slice },
  )
}

t.test('every key is found, in however many passes the index was sorted', async t => {
  const texts = Array.from({ length: 3000 }, (_, at) => `text ${at}`)
  for (const slice of [undefined, 700]) {
    const index = await indexOf(texts, slice)
    t.equal(index.count, 3000)
    for (const [at, text] of texts.entries()) {
      const found = index.tryReadSync(keyOf(text))
      if (at % 500 === 0) t.same([found, await index.read(keyOf(text))], [[at], [at]])
      else if (found?.[0] !== at) t.fail(`${text} is at ${found}`)
    }
    t.same(index.tryReadSync(keyOf('another')), [])
    await index.close()
  }
})

t.test('every key is found, even if most keys fall into one pass', async t => {
  const block = blockOf(Array.from({ length: 5000 }, (_, at) => `text ${at}`))
  // Keys are hashes; these have a first byte below 128, so that one of two passes sorts all of them.
  for (let at = 0; at < block.bytes.length; at += 16)
    block.bytes[at] = (block.bytes[at] as number) & 0x7f
  const index = await indexOfKeys(block, 2500)
  t.equal(index.count, 5000)
  for (let at = 0; at < 5000; at++) {
    const found = await index.read(block.bytes.subarray(at * 16, at * 16 + 16))
    if (found[0] !== at) t.fail(`key ${at} is at ${found}`)
  }
  await index.close()
})

t.test(
  'the newest few of many answers to one request are kept, and an index may be empty',
  async t => {
    const index = await indexOf([...Array.from({ length: 5000 }, () => 'same'), 'other'], 100)
    t.same(index.tryReadSync(keyOf('same')), [0, 1, 2, 3])
    t.same(index.tryReadSync(keyOf('other')), [5000])
    await index.close()
    const empty = await indexOf([])
    t.same([empty.count, empty.tryReadSync(keyOf('a'))], [0, []])
    await empty.close()
  },
)

t.test(
  'an index larger than a buffer is written in parts, and a failure leaves no file',
  async t => {
    const texts = Array.from({ length: 20_000 }, (_, at) => `text ${at}`)
    const index = await indexOf(texts)
    t.same(await index.read(keyOf('text 19999')), [19_999])
    await index.close()
    const path = `${t.testdir()}/index`
    const failing = async function* (): AsyncGenerator<KeyBlock> {
      yield blockOf(['text'])
      throw new Error('no keys')
    }
    await t.rejects(AnswerIndex.create(nodeDisk, path, 1, failing), { message: 'no keys' })
    t.equal(await nodeDisk.stat(path), undefined)
  },
)
