import { BatchStreamError } from '../../core/errors.ts'
import { isSafeUrl } from '../safe-url.ts'
import type { Flags } from '../flags.ts'
import { wrongFlag } from '../values.ts'

/** What happens when a run ends: the command to run and the URL to call. */
export interface EndSettings {
  readonly onComplete?: string
  readonly notify?: string
}

export function endIn(flags: Flags): EndSettings {
  const onComplete = flags.text('on-complete')
  const notify = flags.text('notify')
  if (onComplete?.trim() === '') throw wrongFlag('--on-complete', 'a command', onComplete)
  if (notify !== undefined && !isSafeUrl(notify)) {
    // The value is not shown: such URLs usually contain a secret.
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
