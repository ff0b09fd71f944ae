import { BatchStreamError } from '../../core/errors.ts'
import { isSafeUrl } from '../client.ts'
import type { Flags } from '../flags.ts'
import type { Settings } from '../settings.ts'
import { wrongFlag } from '../values.ts'

/** What flags say is to happen when a run of a job ends, checked. */
export function endIn(flags: Flags): Pick<Settings, 'onComplete' | 'notify'> {
  const onComplete = flags.text('on-complete')
  const notify = flags.text('notify')
  if (onComplete?.trim() === '') throw wrongFlag('--on-complete', 'a command', onComplete)
  if (notify !== undefined && !isSafeUrl(notify)) {
    // Not shown: such addresses hold a secret more often than not.
    throw new BatchStreamError(
      'CBS_OPTION',
      '--notify must be an https URL, or http on this machine, without a user name or password',
    )
  }
  return {
    ...(onComplete !== undefined && { onComplete }),
    ...(notify !== undefined && { notify }),
  }
}
