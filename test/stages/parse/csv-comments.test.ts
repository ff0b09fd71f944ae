import t from 'tap'
import { isCommentStart, withoutComments } from '../../../lib/stages/parse/csv-comments.ts'
import { parseCsv, type CsvOptions } from '../../../lib/stages/parse/csv.ts'
import { differenceByCut, read, records, type Parser } from './feeding.ts'

const csv =
  (options?: CsvOptions): Parser =>
  () =>
    parseCsv({ comment: '#', ...options })

t.test('comment lines are skipped, and still counted as lines', async t => {
  for (const end of ['\n', '\r\n', '\r']) {
    const input = [
      '# exported 2026-11-21',
      '',
      '#',
      'a,b',
      '# 1,2',
      '3,4',
      '##',
      '',
      '# x',
      '5,6',
      '# end',
    ]
    for (const last of ['', end]) {
      t.same(
        await records(csv(), input.join(end) + last),
        [
          [6, '{"a":"3","b":"4"}'],
          [10, '{"a":"5","b":"6"}'],
        ],
        JSON.stringify([end, last]),
      )
    }
  }
  t.same(await records(csv(), '\ufeff# a\na\n1\n'), [[3, '{"a":"1"}']], 'behind a byte order mark')
  t.same(await records(csv({ comment: '//' }), '//a\na\n/1\n//2\n/'), [
    [3, '{"a":"/1"}'],
    [5, '{"a":"/"}'],
  ])
  t.same(await records(csv({ columns: ['a'] }), '#x\n1\n'), [[2, '{"a":"1"}']])
  t.same(await records(csv({ header: false }), '#x,y\n1\n'), [[2, '{"column1":"1"}']])
  t.same(await records(() => parseCsv(), '#a\n#1\n'), [[2, '{"#a":"#1"}']], 'none unless asked for')
})

t.test('a comment character within a row is data', async t => {
  t.same(await records(csv(), 'a,b\n1,#2\n "x#y" ,3\n"#4","5\n#6"\n #7,8#\n,#9\n'), [
    [2, '{"a":"1","b":"#2"}'],
    [3, '{"a":" \\"x#y\\" ","b":"3"}'],
    [4, '{"a":"#4","b":"5\\n#6"}'],
    [6, '{"a":" #7","b":"8#"}'],
    [7, '{"a":"","b":"#9"}'],
  ])
})

t.test('a row after a closing quote is read as without comments', async t => {
  const input = 'a,b\n"x"#1,2\n""#3,"4\n5"\n"say "#6" now",7\n""#8\n'
  t.same(await records(csv(), input), await records(() => parseCsv(), input))
  t.same(await records(csv({ columns: ['a'] }), '""#lost?\n'), [[1, '{"a":"\\"\\"#lost?"}']])
})

t.test('a quote in a comment opens nothing', async t => {
  t.same(await records(csv(), '# it"s, "open\na\n# "\n1\n#,"\n"2"\n#"'), [
    [4, '{"a":"1"}'],
    [6, '{"a":"2"}'],
  ])
})

t.test('the raw text of a bad row contains no comments, and its line number is right', async t => {
  const { records: rows } = await read(csv(), [
    Buffer.from('#\na,b\n# x\n\n#y\n1\n#\n2,"3\n# data\n"x,5,\n# z\n6,"7\n# 8\n9,10\n'),
  ])
  t.same(
    rows.map(row => [row.line, row.raw.toString(), row.problem?.type]),
    [
      [6, '{"input":"1"}', 'wrong_column_count'],
      [8, '{"input":"2,\\"3\\n# data\\n\\"x,5,"}', 'wrong_column_count'],
      [12, '{"input":"6,\\"7"}', 'unclosed_quote'],
      [14, '{"a":"9","b":"10"}', undefined],
    ],
  )
  t.match(rows[2]?.problem?.message, /^line 12: the quote opened on line 12 /)
})

t.test('an invalid header after comments is reported with its own line', async t => {
  const { error } = await read(csv(), [Buffer.from('# 1\n\n# 2\na,"b\n')])
  t.match(error, {
    code: 'CBS_INPUT',
    place: { line: 4 },
    message: /^the CSV header cannot be read: line 4: /,
  })
})

t.test('a comment that is not UTF-8 rejects no row', async t => {
  const latin1 = Buffer.from('# caf\xe9\na,b\n#\xe9\n1,2\n# \xe9\n3,\xe9\n#\xe9', 'latin1')
  const { records: rows } = await read(csv(), [latin1])
  t.same(
    rows.map(row => [row.line, row.raw.toString(), row.problem?.type]),
    [
      [4, '{"a":"1","b":"2"}', undefined],
      [6, '{"input":"3,\ufffd"}', 'invalid_utf8'],
    ],
  )
  t.match(rows[1]?.problem?.message, /byte 0xe9 at byte offset 2 of the record/)
  t.equal(await differenceByCut(csv(), latin1), undefined)
})

t.test('a file of comments only has no records', async t => {
  for (const input of ['#', '#\n', '# a\r\n\r\n# b', '#\r#'])
    t.same(await records(csv(), input), [], JSON.stringify(input))
})

t.test('a comment may be longer than a chunk and than the maximum record', async t => {
  for (const length of [50, 4000, 4059, 4064, 5000, 16_384, 50_000]) {
    for (const end of ['\n', '\r\n', '\r']) {
      const long = `#${'y'.repeat(length)}"`
      const input = [
        long,
        'a,b',
        long,
        '1,2',
        long,
        long,
        `3,${'x'.repeat(5000)}`,
        long,
        '4,5',
        long,
      ]
      const { records: rows } = await read(csv({ maxRecordBytes: 1000 }), [
        Buffer.from(input.join(end)),
      ])
      t.same(
        rows.map(row => [row.line, row.problem?.type]),
        [
          [4, undefined],
          [7, 'too_long'],
          [9, undefined],
        ],
        `${length} ${JSON.stringify(end)}`,
      )
    }
  }
})

t.test('comments do not count as bytes of a record', async t => {
  const row = `${'x'.repeat(998)},2`
  const comments = `# ${'y'.repeat(700)}\n`.repeat(8)
  t.same(
    (await records(csv({ maxRecordBytes: 1000 }), `a,b\n${comments}${row}\n${comments}${row}`)).map(
      ([line, , problem]) => [line, problem],
    ),
    [
      [10, undefined],
      [19, undefined],
    ],
  )
})

t.test('an endless comment, and endless comments, take bounded memory', async t => {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  function* chunks(text: string, last: string): Generator<Buffer> {
    const bytes = Buffer.alloc(100_000, text)
    for (let index = 0; index < 50; index++) {
      if (index % 10 === 0) globalThis.gc?.()
      if (index % 10 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      yield bytes
    }
    yield Buffer.from(last)
  }
  const parser = csv({ columns: ['a'], maxRecordBytes: 50_000 })
  const endless = await read(parser, chunks('#', '\n1'))
  const many = await read(parser, chunks('# "\n', '1'))
  t.same([endless.records.length, endless.records[0]?.line], [1, 2])
  t.same([many.records.length, many.records[0]?.line], [1, 1_250_001])
  t.ok(most < 4_000_000, `${most} bytes while 5 MB went through`)
})

t.test('however the bytes are cut, the records are the same', async t => {
  const inputs = [
    '\ufeff#x\r\na,b\r\n#"\r\n1,"#2\r\n#"\r\n\r\n#\r\n\r\n#y\r\n#z\r\n3,4\r\n#end',
    '#x\ra,b\r#"\r1,"#2\r#"\r\r#\r#y\r3,4\r#end\r',
    '\n#x\n\n\na,b\n#"\n1,"#2\n#"\n""#,"3\n"\n#é😀\n4,5,6\n#\n7,"8\n#9\n10,11\n#',
    '#\r\n#\n#\ra\n#\r\r\n1\r\n',
  ]
  for (const input of inputs)
    t.equal(await differenceByCut(csv(), input), undefined, JSON.stringify(input))
  const slashes = '//x\r\n/\r\n///\r\n//\n/"/\r/1\n//"'
  t.equal(await differenceByCut(csv({ comment: '//', header: false }), slashes), undefined)
})

t.test('however the bytes are cut, long comments and records end in the same place', async t => {
  const long = 'y'.repeat(4100)
  const inputs = [
    `#${long}\r\na,b\r\n1,${long}\r\n#${long}\r\n2,3\r\n`,
    `a,b\n#${long}\n1,"x""${long}""\n# 2\n3,4\n#${long}`,
    ...[4055, 4059, 4060, 4061, 4062, 4063, 4064].flatMap(length =>
      ['\n', '\r', '\r\n'].map(end =>
        ['a,b', `1,${'y'.repeat(length)}`, '#"', '2,3', `#${'y'.repeat(length)}`, '4,5'].join(end),
      ),
    ),
  ]
  for (const input of inputs) {
    const parser = csv({ maxRecordBytes: 1000 })
    const whole = await records(parser, input)
    const bytes = Buffer.from(input)
    for (const size of [1, 3, 61, 1000]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      )
      const cut = await read(parser, chunks)
      t.same(
        cut.records.map(row => [row.line, row.raw.toString(), row.problem?.type]),
        whole.map(([line, raw, problem]) => [line, raw, problem]),
        `${input.slice(0, 12)} in chunks of ${size}`,
      )
    }
  }
})

t.test('what might be a row is not a comment', async t => {
  for (const [text, delimiter] of [
    ['#', ','],
    ['//', ','],
    ['-- ', '\t'],
    [';', ','],
    ['12345678', ','],
  ] as const)
    t.equal(isCommentStart(text, delimiter), true, text)
  for (const [text, delimiter] of [
    ['', ','],
    ['123456789', ','],
    ['"', ','],
    ['#"', ','],
    ['#\n', ','],
    ['\r', ','],
    ['\t', ','],
    [',', ','],
    [',#', ','],
    [';', ';;'],
  ] as const)
    t.equal(isCommentStart(text, delimiter), false, text)
  const wrong =
    (options: object): (() => unknown) =>
    () =>
      // What TypeScript would not let through still comes from JavaScript.
      parseCsv(options as CsvOptions)
  t.throws(wrong({ comment: '' }), {
    code: 'CBS_OPTION',
    message: /^`comment` must be 1 to 8 characters without quotes, tabs or line breaks/,
  })
  t.throws(wrong({ comment: 7 }), { code: 'CBS_OPTION' })
  t.throws(wrong({ comment: ';', delimiter: ';' }), { code: 'CBS_OPTION' })
})

t.test('leading comments are removed from a text', async t => {
  t.equal(withoutComments('\r\n#é\n\n# b\r\na#\n#c', '#'), 'a#\n#c')
  t.equal(withoutComments('# é', '#'), '')
  t.equal(withoutComments('/', '//'), '/')
})
