import { errorBody, json, typeOfStatus } from './api-error.ts'
import { sleep, type EmulatorClock } from './clock.ts'
import type { FaultEffect } from './fault.ts'
import { ConnectionReset, type Reply, type RequestBody, type WireRequest } from './wire.ts'

/** The call that faults act on. */
export interface ActiveCall {
  readonly request: WireRequest
  readonly body: RequestBody
  readonly clock: EmulatorClock
  readonly requestId: string
}

/** Applies the call's faults for this moment, in order. Returns the reply if one of them provides it. */
export async function act(
  when: 'early' | 'before' | 'after',
  faults: readonly FaultEffect[],
  call: ActiveCall,
): Promise<Reply | undefined> {
  const { request, body, clock, requestId } = call
  for (const fault of faults) {
    if ((fault.when ?? 'before') !== when) continue
    if (when === 'early') await body.lookAhead(earlyBytes(request, fault.bytes ?? 0))
    if (fault.stallMs !== undefined && fault.stallAfterBytes === undefined) {
      await sleep(clock, fault.stallMs, request.signal)
      if (request.signal.aborted) throw new ConnectionReset()
    }
    if (fault.reset) throw new ConnectionReset()
    const reply = replyOf(fault, requestId)
    if (reply) return reply
  }
  return undefined
}

/** How many bytes of the body are read first: never its last byte, if its length is known. */
function earlyBytes(request: WireRequest, bytes: number): number {
  const length = Number(request.header('content-length') ?? Infinity)
  return Math.min(bytes < 0 ? length + bytes : bytes, length - 1)
}

function replyOf(fault: FaultEffect, requestId: string): Reply | undefined {
  const { headers = {}, status } = fault
  if (fault.redirect !== undefined) {
    return {
      status: status ?? 302,
      headers: { location: fault.redirect, 'content-length': '0', ...headers },
      body: Buffer.alloc(0),
    }
  }
  if (fault.body !== undefined) {
    const body = Buffer.from(fault.body)
    const type = fault.contentType ?? 'text/html'
    return {
      status: status ?? 200,
      headers: { 'content-type': type, 'content-length': String(body.length), ...headers },
      body,
    }
  }
  if (status === undefined && fault.error === undefined) return undefined
  const {
    type = typeOfStatus(status ?? 500),
    message = 'a scripted fault',
    error_code,
  } = fault.error ?? {}
  return json(status ?? 500, errorBody(type, message, error_code, requestId), headers)
}

/** Applies faults to a reply: other headers, or a stall or a reset after so many bytes of its body. */
export function applyFaults(
  reply: Reply,
  faults: readonly FaultEffect[],
  { request, clock }: ActiveCall,
): Reply {
  let { headers, body } = reply
  for (const fault of faults) {
    if (fault.headers) headers = { ...headers, ...fault.headers }
    const { stallAfterBytes, stallMs = 'forever', resetAfterBytes } = fault
    if (stallAfterBytes !== undefined) {
      body = interrupted(body, stallAfterBytes, async () => {
        await sleep(clock, stallMs, request.signal)
        if (request.signal.aborted) throw new ConnectionReset()
      })
    }
    if (resetAfterBytes !== undefined) {
      body = interrupted(body, resetAfterBytes, () => Promise.reject(new ConnectionReset()))
    }
  }
  return { ...reply, headers, body }
}

/** A body that runs an action after `after` bytes. */
async function* interrupted(
  body: Buffer | AsyncIterable<Buffer>,
  after: number,
  interrupt: () => Promise<void>,
): AsyncGenerator<Buffer> {
  let left = after
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    if (left < 0 || chunk.length < left) {
      left -= left < 0 ? 0 : chunk.length
      yield chunk
      continue
    }
    if (left > 0) yield chunk.subarray(0, left)
    await interrupt()
    if (chunk.length > left) yield chunk.subarray(left)
    left = -1
  }
}
