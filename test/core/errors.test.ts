import t from 'tap'
import {
  BatchStreamError,
  lineOf,
  messageOf,
  wholeNumber,
  wrapError,
  wrongOption,
} from '../../lib/core/errors.ts'

void t.test('an error has a code, a sentence, a place and a cause', async t => {
  const cause = new Error('why')
  const error = new BatchStreamError('CBS_INPUT', 'what', { cause, place: { line: 3, column: 7 } })
  t.equal(error.name, 'BatchStreamError')
  t.equal(error.code, 'CBS_INPUT')
  t.equal(error.cause, cause)
  t.same(error.place, { line: 3, column: 7 })
  t.notOk('cause' in new BatchStreamError('CBS_INPUT', 'what'))
})

void t.test('a BatchStreamError is returned unchanged, any other error is wrapped', async t => {
  const ours = new BatchStreamError('CBS_DISK', 'full')
  t.equal(wrapError('CBS_STAGE', 'it failed', ours), ours)
  const cause = new Error('boom')
  const wrapped = wrapError('CBS_STAGE', 'it failed', cause)
  t.equal(wrapped.message, 'it failed: boom')
  t.equal(wrapped.cause, cause)
  t.equal(wrapError('CBS_STAGE', 'it failed', 'boom').message, 'it failed: boom')
  const quota = new Error('Unknown system error -122: Unknown system error -122, write')
  t.equal(wrapError('CBS_DISK', 'x', quota).message, 'x: EDQUOT: disk quota exceeded, write')
})

void t.test('whatever was thrown has a message', async t => {
  const tricky = {
    get message(): string {
      throw new Error('no')
    },
  }
  for (const [thrown, message] of [
    [Object.assign(new Error('x'), { message: 42 }), '42'],
    [Object.assign(new Error('x'), { message: { code: 7 } }), '{"code":7}'],
    [Object.setPrototypeOf(tricky, Error.prototype), 'an error without a message'],
    [Object.create(null), '{}'],
    [Object.assign(Object.create(null), circle), 'an error without a message'],
    [{ toJSON: () => undefined }, '[object Object]'],
    [undefined, 'undefined'],
    [Symbol('why'), 'Symbol(why)'],
  ])
    t.equal(messageOf(thrown), message)
})

void t.test('a place names the file, if there is one', async t => {
  t.equal(lineOf({ line: 18 }), 'line 18')
  t.equal(lineOf({ line: 18, source: 'a.csv' }), 'line 18 of a.csv')
})

const circle: { self?: unknown } = {}
circle.self = circle

for (const [got, shown] of [
  ['10mb', '"10mb"'],
  [Number.NaN, 'NaN'],
  [Infinity, 'Infinity'],
  [undefined, 'undefined'],
  [null, 'null'],
  [10n, '10'],
  [() => 1, 'a function'],
  [{ a: 1 }, '{"a":1}'],
  [circle, '[object Object]'],
] as const) {
  void t.test(`an invalid option is shown as ${shown}`, async t => {
    const error = wrongOption('count', 'a number', got)
    t.equal(error.code, 'CBS_OPTION')
    t.equal(error.message, `\`count\` must be a number, got ${shown}`)
  })
}

void t.test('a whole number is accepted inside its range and rejected outside', async t => {
  t.equal(wholeNumber('count', 1, 1, 5), 1)
  t.equal(wholeNumber('count', 5, 1, 5), 5)
  for (const wrong of [0, 6, 1.5, Number.NaN]) {
    t.throws(() => wholeNumber('count', wrong, 1, 5), { message: /whole number from 1 to 5/ })
  }
  for (const wrong of [-1, Number.NaN, 0.5])
    t.throws(() => wholeNumber('count', wrong, 0, Infinity), { message: /of at least 0, got / })
  for (const huge of [1e300, Infinity, 2 ** 53])
    t.throws(() => wholeNumber('count', huge, 0, Infinity), {
      code: 'CBS_OPTION',
      message: `\`count\` must be a whole number from 0 to 9007199254740991, got ${huge}`,
    })
})
