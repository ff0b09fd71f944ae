import t from 'tap'
import { parseCsv, type CsvOptions } from '../../../lib/stages/parse/csv.ts'
import type { InputNote } from '../../../lib/stages/parse/note.ts'
import { differenceByCut, read, records, seen, type Parser } from './feeding.ts'

const csv =
  (options?: CsvOptions): Parser =>
  () =>
    parseCsv(options)

t.test('rows are objects of strings in column order', async t => {
  t.same(await records(csv(), 'id,Issue Text\n1,broke\n02,""\n'), [
    [2, '{"id":"1","Issue Text":"broke"}'],
    [3, '{"id":"02","Issue Text":""}'],
  ])
  const { records: rows } = await read(csv({ source: 'a.csv' }), [
    Buffer.from('id,"a ""b"""\n1,"x\ty\\"\n'),
  ])
  t.same(rows[0]?.fields, { id: '1', 'a "b"': 'x\ty\\' })
  t.equal(rows[0]?.raw.toString(), '{"id":"1","a \\"b\\"":"x\\ty\\\\"}')
  t.equal(rows[0]?.source, 'a.csv')
})

t.test(
  'LF, CRLF, lone CR, a byte order mark and a missing last line end change nothing (I01, I06)',
  async t => {
    const rows = [
      [2, '{"a":"1","b":"2"}'],
      [3, '{"a":"3","b":"4"}'],
    ]
    for (const end of ['\n', '\r\n', '\r']) {
      t.same(await records(csv(), ['a,b', '1,2', '3,4', ''].join(end)), rows)
      t.same(await records(csv(), ['\ufeffa,b', '1,2', '3,4'].join(end)), rows)
    }
    t.same(await records(csv(), 'a,b\r\n1,2\n3,4\r'), rows, 'nor does a mixture')
  },
)

t.test('a first row with more columns than a CSV file has is an error', async t => {
  const most = `${','.repeat(99_999)}\n`
  t.equal((await records(csv(), most + most)).length, 1)
  const message = /the first row.* has 100001 columns, and a CSV file may have 100000/
  for (const header of [true, false])
    for (const source of [undefined, 'a.csv']) {
      const failing = read(csv({ header, source }), [Buffer.from(`,${most}`)])
      t.match((await failing).error, { code: 'CBS_INPUT', message })
    }
})

t.test('empty lines are skipped and counted', async t => {
  t.same(await records(csv(), '\n\r\na\n\n\n1\r\n\r\n2\n\n'), [
    [6, '{"a":"1"}'],
    [8, '{"a":"2"}'],
  ])
})

t.test('the line is the physical one, also after line breaks in quotes (I24)', async t => {
  for (const end of ['\n', '\r\n', '\r']) {
    const input = ['"a\nx",b', '"1\r\n2\r\n3",4', '', '"5\r6\n7",8', '9,10', ''].join(end)
    t.same(
      (await records(csv({ columns: ['a', 'b'] }), input)).map(([line]) => line),
      [1, 3, 7, 10],
      JSON.stringify(end),
    )
  }
})

t.test('a quote inside an unquoted field is text, and a doubled quote is one quote', async t => {
  t.same(await records(csv(), 'a,b\n5" pipe,"say ""hi"""\nx"y"z,"q"r\n'), [
    [2, '{"a":"5\\" pipe","b":"say \\"hi\\""}'],
    [3, '{"a":"x\\"y\\"z","b":"\\"q\\"r"}'],
  ])
})

t.test('tabs and other delimiters', async t => {
  t.same(await records(csv({ delimiter: '\t' }), 'a\tb\n1,5\t2\n'), [[2, '{"a":"1,5","b":"2"}']])
  t.same(await records(csv({ delimiter: ';;' }), 'a;;b\n1;2;;"3\n;;"\n'), [
    [2, '{"a":"1;2","b":"3\\n;;"}'],
  ])
})

t.test('a file without a header has the given names, or numbers', async t => {
  t.same(await records(csv({ columns: ['A', 'B'] }), '1,2\n'), [[1, '{"A":"1","B":"2"}']])
  t.same(await records(csv({ columns: ['A'], header: false }), '1\n'), [[1, '{"A":"1"}']])
  t.same(await records(csv({ header: false }), '1,2\n3\n'), [
    [1, '{"column1":"1","column2":"2"}'],
    [2, '{"input":"3"}', 'wrong_column_count'],
  ])
})

t.test('names of Object.prototype are plain columns (I11)', async t => {
  const { records: rows } = await read(csv(), [
    // Only csv-parse reads the second row, which has a quote in a field.
    Buffer.from('__proto__,constructor,toString,2,1\nx,y,z,b,a\nx,y,z",b,a\n'),
  ])
  for (const [index, z] of ['z', 'z"'].entries()) {
    const expected = `{"__proto__":"x","constructor":"y","toString":${JSON.stringify(z)},"2":"b","1":"a"}`
    const row = rows[index]
    t.equal(row?.raw.toString(), expected)
    t.same(Object.entries(row?.fields ?? {}), Object.entries(JSON.parse(expected)))
    t.equal(Object.getPrototypeOf(row?.fields), Object.prototype)
  }
})

t.test('R11 I10: a header with unnamed and duplicate cells is read, and reported once', async t => {
  const notes: InputNote[] = []
  const { records: rows } = await read(
    csv({ source: 'a.csv', onNote: note => notes.push(note) }),
    Array.from('\nid,text,,id,\n1,2,3,4,5\n6,7,8,9,0\n', byte => Buffer.from(byte)),
  )
  t.same(rows.map(seen), [
    [3, '{"id":"1","text":"2","column3":"3","id_2":"4","column5":"5"}'],
    [4, '{"id":"6","text":"7","column3":"8","id_2":"9","column5":"0"}'],
  ])
  t.same(notes, [
    {
      type: 'renamed_columns',
      message:
        'line 2 of a.csv: the CSV header has unnamed or duplicate columns; column 3 is called "column3", column 4 is called "id_2", column 5 is called "column5"',
    },
  ])
})

t.test('R11: new names never clash with names of the header', async t => {
  const cases: [string, string[]][] = [
    [',text,label', ['column1', 'text', 'label']],
    ['a,a,b', ['a', 'a_2', 'b']],
    ['a,b,', ['a', 'b', 'column3']],
    ['a,a,a_2,a', ['a', 'a_3', 'a_2', 'a_4']],
    ['a_2,a,a,a_2', ['a_2', 'a', 'a_3', 'a_2_2']],
    [',column1,', ['column1_2', 'column1', 'column3']],
    ['column1,,column2,', ['column1', 'column2_2', 'column2', 'column4']],
    [',,', ['column1', 'column2', 'column3']],
    ['__proto__,__proto__,constructor,', ['__proto__', '__proto___2', 'constructor', 'column4']],
  ]
  for (const [header, names] of cases) {
    const row = names.map((_, at) => at).join(',')
    const { records: rows } = await read(csv(), [Buffer.from(`${header}\n${row}\n`)])
    t.same(Object.keys(JSON.parse(`${rows[0]?.raw}`)), names, header)
    t.same(Object.keys(rows[0]?.fields ?? {}), names, header)
    t.equal(await differenceByCut(csv(), `${header}\n${row}\n`), undefined)
  }
})

t.test('R11: a note lists ten columns and counts the others', async t => {
  const notes: string[] = []
  const parser = csv({ onNote: ({ message }) => notes.push(message) })
  await read(parser, [Buffer.from(`a${','.repeat(30_000)}\n`)])
  t.match(notes, [/^line 1: .* column 11 is called "column11" and 29990 more$/])
})

t.test('an error thrown by onNote ends the stream with CBS_STAGE', async t => {
  const onNote = (): never => {
    throw new Error('boom')
  }
  const { error } = await read(csv({ onNote }), [Buffer.from('a,a\n1,2\n')])
  t.match(error, { code: 'CBS_STAGE', message: '`onNote` failed: boom' })
})

t.test(
  'a row with the wrong number of columns is a bad record that names both numbers (I09)',
  async t => {
    const { records: rows } = await read(csv(), [Buffer.from('a,b\n1\n2,3,"4\r\n4"\r\n5,6\n')])
    t.same(
      rows.map(row => [row.line, row.raw.toString(), row.problem]),
      [
        [
          2,
          '{"input":"1"}',
          { type: 'wrong_column_count', message: 'line 2: the row has 1 column, expected 2' },
        ],
        [
          3,
          '{"input":"2,3,\\"4\\r\\n4\\""}',
          { type: 'wrong_column_count', message: 'line 3: the row has 3 columns, expected 2' },
        ],
        [5, '{"a":"5","b":"6"}', undefined],
      ],
    )
  },
)

t.test('NUL is kept unchanged (I04)', async t => {
  t.same(await records(csv(), 'a,b\nx\0y,"\0"\n'), [[2, '{"a":"x\\u0000y","b":"\\u0000"}']])
})

t.test(
  'invalid UTF-8 is a bad record that names line and byte (I03), and a genuine U+FFFD is valid (I25)',
  async t => {
    const bad = Buffer.concat([
      Buffer.from('a,b\n\ufffd,1\n\ufffd,caf'),
      Buffer.from([0xe9]),
      Buffer.from('\né,2\n'),
    ])
    const { records: rows } = await read(csv(), [bad])
    t.same(
      rows.map(row => [row.line, row.raw.toString(), row.problem?.type]),
      [
        [2, '{"a":"\ufffd","b":"1"}', undefined],
        [3, '{"input":"\ufffd,caf\ufffd"}', 'invalid_utf8'],
        [4, '{"a":"é","b":"2"}', undefined],
      ],
    )
    t.match(rows[1]?.problem?.message, /^line 3: byte 0xe9 at byte offset 7 of the record/)
    const header = Buffer.concat([
      Buffer.from('a,caf'),
      Buffer.from([0xe9]),
      Buffer.from('\n1,2\n'),
    ])
    t.match(
      (await read(csv(), [header])).error?.message,
      /^the CSV header cannot be read: line 1: byte 0xe9 at byte offset 5/,
    )
  },
)

t.test('UTF-16 is rejected (I02)', async t => {
  const { error } = await read(csv(), [Buffer.from('\ufeffa,b\n', 'utf16le')])
  t.match(error, { code: 'CBS_INPUT', message: 'iconv -f UTF-16 -t UTF-8' })
})

t.test('UTF-32 is rejected under its own name', async t => {
  const bytes = Buffer.from(Uint32Array.from(Buffer.from('a,b\n')).buffer)
  const { error } = await read(csv(), [bytes])
  t.match(error, { code: 'CBS_INPUT', message: 'iconv -f UTF-32LE -t UTF-8' })
})

t.test('a file of NUL bytes is rejected, and a row of them is invalid', async t => {
  const { error } = await read(csv(), [Buffer.alloc(100)])
  t.match(error, { code: 'CBS_INPUT', message: /^the input begins with NUL bytes/ })
  for (const rows of ['text\n\0\0\0\0\nb\n', 'text\nb\n\0\0\0\0']) {
    for (const at of [3, 7, 9]) {
      const { records } = await read(csv(), [
        Buffer.from(rows.slice(0, at)),
        Buffer.from(rows.slice(at)),
      ])
      t.same(records.map(({ problem }) => problem?.type).sort(), ['nul_bytes', undefined])
      t.match(
        records.find(({ problem }) => problem)?.problem?.message,
        /it has only NUL bytes \(4\)/,
      )
    }
  }
  const within = await read(csv(), [Buffer.from('text\n\0a\nb\0\n')])
  t.same(
    within.records.map(({ fields }) => fields['text']),
    ['\0a', 'b\0'],
  )
})

t.test(
  'an unclosed quote spoils one line and names it, and the lines after it are read (I08)',
  async t => {
    const open = await read(csv(), [Buffer.from('a,b\r\n1,2\r\n"x\r\ny","z\r\n3,4\r\n\r\n5,6')])
    t.same(
      open.records.map(row => [row.line, row.raw.toString(), row.problem?.type]),
      [
        [2, '{"a":"1","b":"2"}', undefined],
        [3, '{"input":"\\"x\\r\\ny\\",\\"z"}', 'unclosed_quote'],
        [5, '{"a":"3","b":"4"}', undefined],
        [7, '{"a":"5","b":"6"}', undefined],
      ],
    )
    t.equal(
      open.records[1]?.problem?.message,
      'line 3: the quote opened on line 4 is never closed; reading continues on the next line',
    )
  },
)

t.test(
  'an unclosed quote is found after maxRecordBytes, not at the end of the input (I08)',
  async t => {
    const rows = Array.from({ length: 5000 }, (_, index) => `${index},text`)
    const input = ['a,b', '0,"open', ...rows, '"'].join('\n')
    const { records: found } = await read(csv({ maxRecordBytes: 1000 }), [Buffer.from(input)])
    t.same(
      [found[0]?.line, found[0]?.problem?.type, found[0]?.raw.toString()],
      [2, 'unclosed_quote', '{"input":"0,\\"open"}'],
    )
    t.equal(found.length, 5002)
    t.equal(found.filter(row => row.problem).length, 2, 'the quote at the end is the other')
    t.equal(found[5000]?.line, 5002)
  },
)

t.test('an unclosed quote on a line that is too long keeps its first 1,000 characters', async t => {
  const { records: rows } = await read(csv({ maxRecordBytes: 1000 }), [
    Buffer.from(`a,b\n1,"${'x'.repeat(20_000)}\r\n3,4\n`),
  ])
  t.same(
    rows.map(row => [row.line, row.problem?.type]),
    [
      [2, 'unclosed_quote'],
      [3, undefined],
    ],
  )
  t.equal(rows[0]?.fields['input'], `1,"${'x'.repeat(997)}`)
})

t.test(
  'a record over maxRecordBytes keeps its first 1,000 characters, the next is read (I12)',
  async t => {
    for (const length of [1500, 5000, 50_000]) {
      for (const end of ['\n', '\r\n', '\r']) {
        const input = ['a,b', '1,2', `3,${'y'.repeat(length)}`, '"5",6', ''].join(end)
        const { records: rows } = await read(csv({ maxRecordBytes: 1000 }), [Buffer.from(input)])
        t.same(
          rows.map(row => [row.line, row.problem?.type]),
          [
            [2, undefined],
            [3, 'too_long'],
            [4, undefined],
          ],
          `${length} ${JSON.stringify(end)}`,
        )
        t.equal(rows[1]?.fields['input'], `3,${'y'.repeat(998)}`)
      }
    }
  },
)

t.test(
  'a record over maxRecordBytes is one bad record, also with a delimiter of several bytes',
  async t => {
    for (const delimiter of [';;', '¦']) {
      const long = 'y'.repeat(9000)
      const input = ['a,b', `1,${long}`, '2,3', `4,"x,${long}`]
        .join('\n')
        .replaceAll(',', delimiter)
      const { records: rows } = await read(csv({ delimiter, maxRecordBytes: 1000 }), [
        Buffer.from(input),
      ])
      t.same(
        rows.map(row => [row.line, row.problem?.type]),
        [
          [2, 'too_long'],
          [3, undefined],
          [4, 'unclosed_quote'],
        ],
        delimiter,
      )
    }
  },
)

t.test('a header without an end is rejected', async t => {
  t.match((await read(csv(), [Buffer.from('a,"b\n1,2\n')])).error, {
    code: 'CBS_INPUT',
    message: /^the CSV header cannot be read: line 1: the quote opened on line 1 is never closed/,
  })
  t.match(
    (await read(csv({ maxRecordBytes: 100 }), [Buffer.from('a'.repeat(9000))])).error?.message,
    /longer than 100 bytes/,
  )
  t.match(
    (await read(csv({ maxRecordBytes: 100 }), [Buffer.from('a'.repeat(200))])).error?.message,
    /longer than 100 bytes/,
  )
})

t.test('an endless line and endless blank lines take bounded memory (I12)', async t => {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  function* chunk(byte: string, last = ''): Generator<Buffer> {
    const bytes = Buffer.alloc(100_000, byte)
    for (let index = 0; index < 50; index++) {
      if (index % 10 === 0) globalThis.gc?.()
      if (index % 10 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      yield bytes
    }
    yield Buffer.from(last)
  }
  const long = await read(csv({ columns: ['a'], maxRecordBytes: 50_000 }), chunk('x'))
  const blank = await read(csv({ columns: ['a'], maxRecordBytes: 50_000 }), chunk('\n', '1'))
  t.same([long.records.length, long.records[0]?.problem?.type], [1, 'too_long'])
  t.same([blank.records.length, blank.records[0]?.line], [1, 5_000_001])
  t.ok(most < 4_000_000, `${most} bytes while 5 MB went through`)
})

t.test('an empty input, or only a header, gives no records (I19)', async t => {
  for (const input of ['', '\ufeff', '\n\r\n', 'a,b', 'a,b\n', 'a,b\r\n\r\n']) {
    t.same(await records(csv(), input), [], JSON.stringify(input))
  }
})

t.test('however the bytes are cut, the records are the same', async t => {
  const inputs: (string | Buffer)[] = [
    '\ufeffa,b\r\n"1\r\n""2",é😀\r\r\n\n3\n"x"y,5" z\r4,""',
    'a,b\n1,"2\r\n3,4\r\n\r\n"5",6\r\n',
    'a\r\r\n\n"1"\r"2\r"\r\n',
    'a,b\n"1\n2","x\ny',
    'a,,\n1,2,3\n',
    Buffer.concat([
      Buffer.from('a,b\n1,é\n'),
      Buffer.from([0xc3, 0x28]),
      Buffer.from(',2\n\ufffd,3'),
    ]),
  ]
  for (const input of inputs)
    t.equal(await differenceByCut(csv(), input), undefined, JSON.stringify(String(input)))
})

t.test('however the bytes are cut, a long record ends in the same place', async t => {
  const long = 'y'.repeat(4100)
  const inputs = [
    `a,b\n1,${long}\r\n2,3\n`,
    `a,b\n1,"x""${long}""\n3,4\n`,
    ...[4055, 4056, 4057, 4058, 4059, 4060, 4061, 4062, 4063, 4064].flatMap(length =>
      ['\n', '\r', '\r\n'].map(end => ['a,b', `1,${'y'.repeat(length)}`, '2,3', ''].join(end)),
    ),
    `a,b\r\n1,"${long}\r\n2,3\r\n"4",5`,
    `a,b\r1,"x\r${long}\r"\r2,3\r"4",5`,
    `a,b\n"${'y'.repeat(1200)}",3\n4,5\n`,
    `a\n${'\r\n'.repeat(2100)}1\n`,
  ]
  for (const input of inputs) {
    const parser = csv({ maxRecordBytes: 1000 })
    const whole = await records(parser, input)
    for (const size of [1, 2, 3, 61, 1000]) {
      const bytes = Buffer.from(input)
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      )
      const cut = await read(parser, chunks)
      t.same(
        cut.records.map(row =>
          [row.line, row.raw.toString(), row.problem?.type].filter(part => part !== undefined),
        ),
        whole,
        `${input.slice(0, 12)} in chunks of ${size}`,
      )
    }
  }
})

t.test('a reader that stops gets no more than its buffer', async t => {
  const stage = parseCsv({ columns: ['a'] })
  stage.write(Buffer.from('1\n'.repeat(100_000)))
  await new Promise(resolve => stage.once('readable', resolve))
  t.ok(stage.readableLength <= stage.readableHighWaterMark)
  stage.end()
  let count = 0
  for await (const _ of stage) count++
  t.equal(count, 100_000)
})

t.test('invalid options are rejected at once', async t => {
  // What TypeScript would not let through still comes from JavaScript.
  const wrong =
    (options: object): (() => unknown) =>
    () =>
      parseCsv(options as CsvOptions)
  t.throws(wrong({ delimiter: '' }), {
    code: 'CBS_OPTION',
    message: /`delimiter` must be a string of 1 to 8 characters/,
  })
  t.throws(wrong({ delimiter: '"' }), { code: 'CBS_OPTION' })
  t.throws(wrong({ delimiter: 9 }), { code: 'CBS_OPTION' })
  t.throws(wrong({ header: 'yes' }), { message: '`header` must be true or false, got "yes"' })
  t.throws(wrong({ columns: [] }), { message: '`columns` must be a list of names, got []' })
  t.throws(wrong({ columns: 'A,B' }), { message: /`columns` must be a list of names/ })
  t.throws(wrong({ columns: [1] }), { message: /`columns` must be a list of names/ })
  t.throws(wrong({ columns: ['a', 'a'] }), { message: /names "a" as column 1 and 2/ })
  t.throws(wrong({ columns: ['a', ''] }), { message: /has no name for column 2/ })
  t.throws(wrong({ columns: ['a'], header: true }), {
    message: /`header` must be false with `columns`/,
  })
  t.throws(wrong({ maxRecordBytes: 0 }), { message: /`maxRecordBytes` must be/ })
})

t.test('a header is reported before the first record, even if none follows', async t => {
  const headers: (readonly string[])[] = []
  const parser = parseCsv({ onHeader: columns => headers.push(columns) })
  parser.end('a,,a\n')
  t.same(await parser.toArray(), [])
  t.same(headers, [['a', 'column2', 'a_2']])
  const failing = parseCsv({
    onHeader: () => {
      throw new Error('no')
    },
  })
  failing.end('a\n')
  await t.rejects(failing.toArray(), { code: 'CBS_STAGE', message: '`onHeader` failed: no' })
})
