// What the compiler has to refuse. `npm run types` checks this file like any other; the first test checks it here as well, so
// that it does not pass where the compiler was never asked.
import type Anthropic from '@anthropic-ai/sdk'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import {
  aggregate,
  attachFiles,
  awaitEnd,
  chain,
  divide,
  each,
  fetchResults,
  from,
  inputOrder,
  keep,
  openJob,
  parseCsv,
  retry,
  stage,
  submit,
  template,
  writeJsonl,
  type Result,
  type SourceRecord,
  type Stage,
} from '../lib/index.ts'

/** Never called: what stands in it is for the compiler. */
export function refused(client: Anthropic): void {
  // The right order, whole and in parts.
  const ask: Stage<SourceRecord, Result> = chain(
    template({ prompt: 'Sum up {{text}}' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    fetchResults({ client }),
  )
  const whole: Stage<Uint8Array, Buffer> = chain(parseCsv(), keep(), ask, writeJsonl())
  // Every stage that there is, in one.
  const through = (): Stage<SourceRecord, Result> => ask
  const all: Stage<Uint8Array, Buffer> = chain(
    parseCsv(),
    keep(),
    template({ prompt: 'Sum up {{text}}' }),
    attachFiles({ attach: '{{path}}' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    inputOrder(),
    fetchResults({ client }),
    retry({ through }),
    divide({ through: writeJsonl(), to: createWriteStream('failed.jsonl') }),
    writeJsonl(),
  )
  const rows: Stage<never, Buffer> = from(
    [],
    parseCsv(),
    keep(),
    template({ prompt: 'Sum up {{text}}' }),
    attachFiles({ attach: '{{path}}' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    inputOrder(),
    fetchResults({ client }),
    retry({ through }),
    divide({ through: writeJsonl(), to: createWriteStream('failed.jsonl') }),
    writeJsonl(),
  )
  void [whole, all, rows]

  chain(
    parseCsv(),
    keep(),
    template({ prompt: 'x' }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client }),
    fetchResults({ client }),
    // @ts-expect-error a wrong order shows late in a long chain, too
    writeJsonl(),
    retry({ through }),
  )

  // @ts-expect-error a batch is submitted after it was gathered
  chain(submit({ client }), aggregate())
  // @ts-expect-error a batch that was not sent cannot end
  chain(aggregate(), awaitEnd({ client }))
  // @ts-expect-error results of a batch are there when it has ended
  chain(submit({ client }), fetchResults({ client }))
  // @ts-expect-error bytes are parsed first
  chain(template({ prompt: 'x' }), parseCsv())
  // @ts-expect-error a writer gives bytes, and those are no results
  chain(writeJsonl(), writeJsonl())
  // @ts-expect-error a source of records is needed, not of batches
  from([], parseCsv(), aggregate())
  // @ts-expect-error the wrong order shows in the middle of a long chain too
  chain(parseCsv(), template({ prompt: 'x' }), submit({ client }), awaitEnd({ client }))

  // @ts-expect-error awaitEnd asks the API, so it needs a client
  awaitEnd({})
  // @ts-expect-error a count is a number
  aggregate({ count: '100' })
  // @ts-expect-error an option that does not exist
  template({ promt: 'x' })
  // @ts-expect-error a prompt function is synchronous
  template({ prompt: async () => 'x' })
  // @ts-expect-error a job has a name
  void openJob({ dir: 'x' })

  const long = stage((result: Result) => (result.response ?? '').length)
  chain(ask, long)
  // @ts-expect-error a stage of one's own has types, too
  chain(long, writeJsonl())
}

/** Never called: the items of a loop have a type, which is not `any`. */
export async function looped(results: Stage<never, Result>): Promise<void> {
  for await (const result of each(results)) {
    const response: string | null = result.response
    // @ts-expect-error there is no such property
    void [response, result.text]
    // @ts-expect-error what flows does not change
    result.raw = null
  }
}

void t.test('what does not fit together does not compile', async t => {
  const root = join(import.meta.dirname, '..')
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), path => ts.sys.readFile(path))
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const file = join(root, 'test/types.test.ts')
  const program = ts.createProgram([file], options)
  const found = ts.getPreEmitDiagnostics(program, program.getSourceFile(file))
  t.same(
    found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
    [],
  )
  t.ok(program.getSourceFile(join(root, 'lib/core/chain.ts')), 'the compiler has read lib')
})
