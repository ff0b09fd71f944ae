import t from 'tap'
import { mediaTypeOf } from '../../../lib/core/file/media-type.ts'

const KINDS: readonly [string, string | undefined][] = [
  ['89504e470d0a1a0a0000000d', 'image/png'],
  ['ffd8ffe000104a4649460001', 'image/jpeg'],
  ['474946383761010001000000', 'image/gif'],
  ['474946383961010001000000', 'image/gif'],
  ['524946462400000057454250', 'image/webp'],
  ['255044462d312e370a000000', 'application/pdf'],
]

for (const [hex, type] of KINDS) {
  void t.test(`${type} is recognised by its first bytes, and not by fewer`, async t => {
    const head = Buffer.from(hex, 'hex')
    t.equal(mediaTypeOf(head), type)
    t.equal(mediaTypeOf(Buffer.concat([head, Buffer.from('more')])), type)
    t.equal(mediaTypeOf(head.subarray(0, 2)), undefined)
  })
}

void t.test('text, sound and an empty file are none of these', async t => {
  t.equal(mediaTypeOf(Buffer.from('a plain text')), undefined)
  t.equal(mediaTypeOf(Buffer.from('524946462400000057415645', 'hex')), undefined)
  t.equal(mediaTypeOf(Buffer.alloc(0)), undefined)
})
