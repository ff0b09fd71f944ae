import { Readable } from 'node:stream'
import t from 'tap'
import { BatchStreamError } from '../../lib/core/errors.ts'
import { EXIT, exitCodeOf } from '../../lib/cli/exit-code.ts'
import { run } from './world.ts'

const outOfFiles = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })

void t.test('an unexpected error is a bug, unless no file can be opened', async t => {
  t.equal(exitCodeOf(new Error('x')), EXIT.bug)
  t.equal(exitCodeOf('x'), EXIT.bug)
  t.equal(exitCodeOf(new Error('cannot load', { cause: outOfFiles })), EXIT.disk)
  t.equal(exitCodeOf(new BatchStreamError('CBS_INPUT', 'x', { cause: outOfFiles })), EXIT.input)
})

void t.test(
  'a broken pipe is a closed reader, but not if the API or a database closed it',
  async t => {
    const cause = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
    t.equal(exitCodeOf(new BatchStreamError('CBS_DISK', 'x', { cause })), EXIT.closedReader)
    t.equal(exitCodeOf(new BatchStreamError('CBS_API', 'x', { cause })), EXIT.api)
  },
)

void t.test('the error for the limit on open files says what to raise', async t => {
  const stdin = new Readable({ read: () => stdin.destroy(outOfFiles) })
  const ran = await run(['-p', 'Say {{input}}', '--emulate'], { stdin })
  t.not(ran.code, EXIT.bug)
  t.match(ran.err, /too many open files; raise the limit with `ulimit -n`/)
})
