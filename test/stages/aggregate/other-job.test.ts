import t from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { from } from '../../../lib/core/chain.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { records } from '../../support/jobs.ts'
import { makeWorld } from '../../support/world.ts'

void t.test('records of another job are refused before anything is sent', async t => {
  const world = await makeWorld(t)
  const job = await world.open({ name: 'right' })
  const other = await world.open({ name: 'wrong' })
  const submitted = from(
    records(3),
    spool({ job }),
    template({ prompt: 'Say {{n}}' }),
    aggregate({ job: other }),
    submit({ client: world.client }),
  )
  await t.rejects(submitted.toArray(), {
    code: 'CBS_STAGE',
    message:
      'aggregate got items of job right and works on job wrong: give all stages of a pipeline the same `job`, or leave it out',
  })
  t.match(await world.emulator.ledger.totals(), { accepted: 0 })
})
