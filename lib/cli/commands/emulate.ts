import { counted } from '../shown.ts'
import { createEmulator, type Emulator, type FaultRule } from '../../emulator/index.ts'
import { wrapError } from '../../core/errors.ts'
import { print } from '../print.ts'
import type { Context } from '../context.ts'
import type { Ending } from '../finish.ts'
import { duration, jsonIn, whole } from '../values.ts'

/** Runs a local Message Batches API until it is interrupted. Only its URL goes to stdout. */
export async function emulate({ flags, io, talk, signal }: Context): Promise<Ending> {
  const text = flags.text('port')
  const port = text === undefined ? 0 : whole('--port', text, 0, 65_535)
  const time = flags.text('batch-time')
  const faults = flags.text('faults')
  const emulator = await createEmulator({
    port,
    batchTimeMs: time === undefined ? 1000 : duration('--batch-time', time),
    faults: faults === undefined ? [] : await readFaults(faults),
  }).catch((cause: unknown) => {
    throw wrapError('CBS_OPTION', `the emulator cannot listen on port ${port}`, cause)
  })
  await print(io.stdout, `${emulator.url}\n`)
  talk.info(
    'a local Message Batches API, until Ctrl-C: any key is accepted, nothing costs anything',
  )
  // Only a signal ends it.
  await new Promise<void>(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  talk.info(await describeTotals(emulator))
  await emulator.close()
  throw signal.reason
}

/** Faults from a file; createEmulator checks each of them. */
async function readFaults(file: string): Promise<readonly FaultRule[]> {
  return (await jsonIn('--faults', file)) as readonly FaultRule[]
}

/** What an emulator has accepted and billed so far, as a sentence. */
export async function describeTotals({ ledger }: Pick<Emulator, 'ledger'>): Promise<string> {
  const { batches, accepted, billed, billedTwice } = await ledger.totals()
  const requests = `${counted(accepted, 'request')} in ${counted(batches, 'batch', 'batches')}`
  return `the emulator accepted ${requests} and billed ${billed}, ${billedTwice || 'none'} of them twice`
}
