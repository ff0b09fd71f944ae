import { Api } from '../api/api.ts'
import type { AnthropicClient } from '../api/client.ts'
import type { FreeCall } from '../api/free-call.ts'
import type { Clock } from '../core/clock.ts'
import { ApiSession } from '../core/session.ts'
import type { Context } from './context.ts'
import type { Talk } from './talk.ts'

/** Free calls outside a job, or that must not set its workspace. Waits are shown on stderr. */
export function freeCall({ io, talk, signal }: Pick<Context, 'io' | 'talk' | 'signal'>): FreeCall {
  return { signal, session: new ApiSession(io.clock), onWait: waitsAt(talk, io.clock) }
}

/** The batches API for a command. Waits are shown on stderr. */
export function apiFor(
  { io, talk, signal }: Pick<Context, 'io' | 'talk' | 'signal'>,
  client: AnthropicClient,
  session: ApiSession,
): Api {
  const tell = waitsAt(talk, io.clock)
  return new Api({ client, session, signal, onWait: ({ message }) => tell(message) })
}

/** Reports on stderr why a free call has to wait. */
export function waitsAt(talk: Talk, clock: Clock): (why: string) => void {
  return why => talk.wait(`waiting for the API: ${why}`, clock.elapsed())
}
