import t from 'tap'
import { nodeDisk } from '../../../lib/store/disk.ts'
import { openJob } from '../../../lib/store/open.ts'
import { ensureFreeSpace } from '../../../lib/stages/submit/free-space.ts'

t.test('F01 a batch whose answers may not fit on the disk is not paid for', async t => {
  for (const [free, fits] of [
    [0, false],
    [4_999_999, false],
    [5_000_000, true],
  ] as const) {
    const job = await openJob({
      name: `free-${free}`,
      dir: t.testdir(),
      disk: { ...nodeDisk, free: async () => free },
    })
    const checked = ensureFreeSpace(job, 1_000_000)
    if (fits) await t.resolves(checked, `${free} bytes are enough`)
    else {
      await t.rejects(checked, { code: 'CBS_DISK', message: /the next batch may take 5\.0 MB/ })
    }
    await job.close()
  }
})
