import { Readable, Writable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { aggregate } from '../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../lib/stages/await/await-end.ts'
import { spool } from '../lib/stages/spool/spool.ts'
import { parseJsonl } from '../lib/stages/parse/jsonl.ts'
import { fetchResults } from '../lib/stages/results/fetch-results.ts'
import { submit } from '../lib/stages/submit/submit.ts'
import { template } from '../lib/stages/template/template.ts'
import { writeJsonl } from '../lib/stages/write/jsonl.ts'
import { within } from './support/waiting.ts'
import { makeWorld } from './support/world.ts'

const NAMES = ['parse', 'keep', 'template', 'aggregate', 'submit', 'awaitEnd', 'fetch', 'write']
const INPUT = Array.from({ length: 20 }, (_, n) => `{"n":${n}}\n`)

for (const [index, name] of NAMES.entries()) {
  void t.test(`${name} never succeeds if it is destroyed, at any moment`, async t => {
    for (let turns = 0; turns < 60; turns += turns < 20 ? 1 : 4) {
      const world = await makeWorld(t, { batchTimeMs: 1000 })
      const job = await world.open({ name: `j${turns}` })
      const { client } = world
      const stages: Duplex[] = [
        parseJsonl(),
        spool({ job }),
        template({ prompt: '{{n}}' }),
        aggregate({ job, batchSize: 5 }),
        submit({ client }),
        awaitEnd({ client, job }),
        fetchResults({ client, job }),
        writeJsonl(),
      ]
      let rows = 0
      const sink = new Writable({
        write(chunk: Buffer, _encoding, done) {
          rows += String(chunk).split('\n').length - 1
          done()
        },
      })
      const source = Readable.from(INPUT.map(line => Buffer.from(line)))
      const written = pipeline([source, ...stages, sink]).then(
        () => 'success',
        () => 'failure',
      )
      for (let n = 0; n < turns; n++) await turn()
      stages[index]?.destroy()
      const how = await within(written, () => `${name} after ${turns} turns`)
      if (how === 'success') t.equal(rows, 20, `after ${turns} turns it was over`)
      await job.close()
    }
  })
}

void t.test('a stage without listeners can be destroyed', async t => {
  const stage = parseJsonl()
  stage.destroy()
  await turn()
  t.ok(stage.destroyed)
})
