import t from 'tap'
import { parsed } from './oracle.ts'

void t.test(
  'the oracle parses JSON correctly, whatever JSON.parse of this Node version does',
  async t => {
    t.strictSame(parsed(' [ {"\\u0061" : -1.5e3, "\\\\":"\\"]"} , [], {}, null ]'), [
      { a: -1500, '\\': '"]' },
      [],
      {},
      null,
    ])
    t.strictSame(parsed('{"a":1,"\\u0061":2}'), { a: 2 }, 'the last of equal keys')
    const proto = parsed('{"__proto__":{"x":1}}')
    t.strictSame(Object.entries(proto as object), [['__proto__', { x: 1 }]])
    t.equal(parsed('"\\ud800"'), '\ud800')
  },
)
