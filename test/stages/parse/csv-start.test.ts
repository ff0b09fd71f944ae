import t from 'tap'
import { parseCsv, type CsvOptions } from '../../../lib/stages/parse/csv.ts'
import { parse, type ParseOptions } from '../../../lib/stages/parse/parse.ts'
import { cuts, differenceByCut, read, records, type Parser } from './feeding.ts'

const csv =
  (options?: CsvOptions): Parser =>
  () =>
    parseCsv(options)

/** The rows of an input, and what was said of it; the same however the bytes are cut. */
async function told(input: string, options: ParseOptions = {}): Promise<[string[], string[]]> {
  let first: [string[], string[]] | undefined
  for (const chunks of cuts(Buffer.from(input))) {
    const notes: string[] = []
    const parser: Parser = () =>
      parseCsv({ ...options, onNote: ({ message }) => notes.push(message) })
    const { records: rows, error } = await read(parser, chunks)
    if (error) throw error
    const found: [string[], string[]] = [rows.map(({ raw }) => raw.toString()), notes]
    first ??= found
    if (JSON.stringify(found) !== JSON.stringify(first))
      throw new Error(`${chunks.length} chunks, the first of ${chunks[0]?.length}: ${notes}`)
  }
  return first as [string[], string[]]
}

t.test('R12: semicolons, tabs and bars are detected and reported', async t => {
  for (const [delimiter, name] of [
    [';', 'semicolons'],
    ['\t', 'tabs'],
    ['|', 'vertical bars'],
  ] as const) {
    const input = '\ufeff\r\nid,review\r\n1,"a, ""b"";|\t"\r\n2,c\r\n'.replaceAll(
      /,(?! )/g,
      delimiter,
    )
    t.same(
      await told(input, { source: 'a.csv' }),
      [
        ['{"id":"1","review":"a, \\"b\\";|\\t"}', '{"id":"2","review":"c"}'],
        [`a.csv has ${name} between its fields, as its first rows show`],
      ],
      name,
    )
    t.same((await told(input, { delimiter }))[1], [], 'nothing is said of a given delimiter')
  }
})

t.test('R12: a plain comma file stays one, whatever else it contains', async t => {
  const inputs: [string, string[]][] = [
    ['a,b\n1,2;3;4\n', ['a', 'b']],
    ['a,b;c\n1,2;3\n', ['a', 'b;c']],
    ['name,tags (a;b;c)\nx,1;2;3\n', ['name', 'tags (a;b;c)']],
    ['a|b,c\n1,2\n', ['a|b', 'c']],
    ['a,b\tc\n1,2\n', ['a', 'b\tc']],
    ['"a;b;c",d\n"1;2;3",4\n', ['a;b;c', 'd']],
    ['a;b,c\n', []],
    ['a,b;c\n1\n2,3\n', ['a', 'b;c']],
    ['text\na;b\nc;d\n', ['text']],
    ['Question; long\nHello\n', ['Question; long']],
    ['a\n', []],
  ]
  for (const [input, names] of inputs) {
    const [rows, notes] = await told(input)
    t.same(notes, [], input)
    t.same(Object.keys(JSON.parse(rows.at(-1) ?? '{}')), names, input)
    t.same(await records(csv(), input), await records(csv({ delimiter: ',' }), input), input)
  }
})

t.test('R12: of several delimiters the one that fits both rows is chosen', async t => {
  const inputs: [string, string][] = [
    ['id;Price, EUR;Name\n1;2,50;a, b, c\n', '{"id":"1","Price, EUR":"2,50","Name":"a, b, c"}'],
    ['a;b;c|d\n1;2;3\n', '{"a":"1","b":"2","c|d":"3"}'],
    ['a;b|c|d\n1;2|3|4\n', '{"a;b":"1;2","c":"3","d":"4"}'],
    ['a;b;c\n1;2\n3;4;5\n', '{"a":"3","b":"4","c":"5"}'],
    ['id\ttext, long\n1\tx\n', '{"id":"1","text, long":"x"}'],
    ['"a,\nb";c\n"1;\r\n2";"3\n,"\n', '{"a,\\nb":"1;\\r\\n2","c":"3\\n,"}'],
    ['a;"b""c"";d"\n1;"2""";3\n4;5', '{"a":"4","b\\"c\\";d":"5"}'],
  ]
  for (const [input, row] of inputs) {
    const [rows, notes] = await told(input)
    t.equal(rows.at(-1), row, input)
    t.equal(notes.length, 1, input)
  }
})

t.test('R12: without a header the first two rows, or the named columns, decide', async t => {
  const header = false
  t.same(await told('1;2\n3;4\n', { header }), [
    ['{"column1":"1","column2":"2"}', '{"column1":"3","column2":"4"}'],
    ['the input has semicolons between its fields, as its first rows show'],
  ])
  t.same((await told('1;a, b\n2;c\n', { header }))[0], [
    '{"column1":"1","column2":"a, b"}',
    '{"column1":"2","column2":"c"}',
  ])
  t.same((await told('Well; yes\nNo\n', { header }))[1], [], 'text with a semicolon is text')
  t.same((await told('1|2', { header }))[0], ['{"column1":"1","column2":"2"}'], 'a single row')
  const columns = ['a', 'b']
  t.same((await told('1,5;2,5\n', { columns }))[0], ['{"a":"1,5","b":"2,5"}'])
  t.same((await told('1;2,3\n', { columns }))[1], [], 'a comma that fits goes first')
  t.same((await told('1;2\n', { columns: ['text'] }))[0], ['{"text":"1;2"}'])
  t.same((await told('1;2;3\n', { columns }))[1], [], 'none fits')
})

t.test('R12: a first line sep=; names the delimiter and is not a row', async t => {
  for (const end of ['\n', '\r\n', '\r']) {
    for (const [line, delimiter] of [
      ['sep=;', ';'],
      ['SEP=|', '|'],
      ['sep=\t', '\t'],
      ['sep=¦', '¦'],
      ['sep=^', '^'],
    ] as const) {
      const input = [line, `a${delimiter}b`, `1,5${delimiter}2`, ''].join(end)
      const [rows, [note]] = await told(input)
      t.same(rows, ['{"a":"1,5","b":"2"}'], JSON.stringify(input))
      t.match(note, /between its fields, as its first line says$/)
      t.same(
        (await records(csv(), `\ufeff${end}${input}`)).map(([at]) => at),
        [4],
      )
    }
  }
  t.same(await told('sep=,\na,b\n1;2,3\n'), [['{"a":"1;2","b":"3"}'], []])
  t.same(await told('sep=;\na,b\n1,2', { delimiter: ',' }), [['{"a":"1","b":"2"}'], []])
  t.same((await told('sep=;\n1,5;2', { header: false }))[0], ['{"column1":"1,5","column2":"2"}'])
  for (const input of ['sep=;', 'sep=;\n', '# x\nsep=;\r\n\r\n'])
    t.same((await told(input, { comment: '#' }))[0], [], 'nothing but that line')
  for (const input of ['sep=\n1\n', 'sep=ab\n1\n', 'sep="\n1\n', 'separator,b\n1,2\n', 's\n1\n'])
    t.equal((await told(input))[0].length, 1, JSON.stringify(input))
  t.same((await told('a\nsep=;\n'))[0], ['{"a":"sep=;"}'], 'only the first line')
})

t.test('R12: comments and blank lines before the rows have no influence', async t => {
  const comment = '//'
  const [rows, notes] = await told('\n// a,b,"\r\n\n/;x\n// ;\n/1;2\n', { comment })
  t.same([rows, notes.length], [['{"/":"/1","x":"2"}'], 1])
  t.same(await records(csv({ comment }), '//\n\nsep=;\na;b\n1;2\n'), [[5, '{"a":"1","b":"2"}']])
  t.same((await told('; of x\na|b\n1|2\n', { comment: ';' }))[0], ['{"a":"1","b":"2"}'])
  t.same((await told('sep=;\na|b\n1|2\n', { comment: ';' }))[0].length, 2, 'no such delimiter')
  for (const input of ['/', '//', '// x', ''])
    t.equal((await told(input, { comment }))[1].length, 0)
  t.equal(await differenceByCut(csv({ comment, header: false }), 'a;b\n/'), undefined)
})

t.test('R12: detection reads at most 64 KB, in any pieces', async t => {
  const long = 'x'.repeat(70_000)
  const inputs: [string, string[]][] = [
    [`a;b\n1;${long}\n2;3\n`, ['a', 'b']],
    [`a;${long}\n1;2\n`, ['a', long]],
    [`a,b;${long}\n1,2\n`, ['a', `b;${long}`]],
    [`${'\n'.repeat(70_000)}a;b\n1;2\n`, ['a;b']],
  ]
  for (const [input, names] of inputs) {
    const bytes = Buffer.from(input)
    for (const size of [1, 1000, 65_536, bytes.length]) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      )
      const { records: rows } = await read(csv(), chunks)
      t.same(Object.keys(rows.at(-1)?.fields ?? {}), names, `${input.slice(0, 5)} by ${size}`)
    }
  }
})

t.test('R12: parse() detects like parseCsv(), for a file named .csv and for a pipe', async t => {
  const inputs: [ParseOptions, string, string][] = [
    [{}, 'a;b\n1;2\n', 'the input has semicolons'],
    [{ name: 'x.csv' }, 'a;b\n1;2\n', 'x.csv has semicolons'],
    [{ name: 'x.csv' }, 'a\tb\n1\t2\n', 'x.csv has tabs'],
    [{}, 'a\tb\n1\t2\n', 'the input has tabs'],
    [{ from: 'csv' }, 'a|b\n1|2\n', 'the input has vertical bars'],
    [{}, 'sep=;\na;b\n1;2\n', 'the input has semicolons'],
    [{}, 'sep=\t\na\tb\n1\t2\n', 'the input has tabs'],
  ]
  for (const [options, input, note] of inputs) {
    const notes: string[] = []
    const parser = (): ReturnType<typeof parse> =>
      parse({ ...options, onNote: ({ message }) => notes.push(message) })
    t.same(
      (await records(parser, input)).map(([, raw]) => raw),
      ['{"a":"1","b":"2"}'],
      input,
    )
    t.equal(notes.length, 1)
    t.match(notes[0], note)
    t.equal(await differenceByCut(parser, input), undefined)
  }
  const silent: string[] = []
  const onNote = ({ message }: { message: string }): unknown => silent.push(message)
  await records(() => parse({ name: 'x.tsv', onNote }), 'a\tb\n1\t2\n')
  t.same(silent, [], 'a name that ends in .tsv says it')
})

t.test('R12: the first row of a comma file does not wait for another', async t => {
  const stage = parseCsv({ header: false })
  stage.write(Buffer.from(`1,text\n2,${'x'.repeat(100)}`))
  await new Promise(resolve => stage.once('readable', resolve))
  t.equal(stage.read()?.line, 1)
  stage.destroy()
})
