import t from 'tap'
import { shownWords } from '../../lib/cli/shown-words.ts'

void t.test('the command line is shown without the password of the ledger', async t => {
  const url = 'postgres://me:secret@db/jobs'
  t.same(shownWords(['--ledger', url, `--ledger=${url}`, '-p', 'a:b@c']), [
    ...['--ledger', 'postgres://me@db/jobs', '--ledger=postgres://me@db/jobs', '-p', 'a:b@c'],
  ])
})
