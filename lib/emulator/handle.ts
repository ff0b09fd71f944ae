import { act, applyFaults, type ActiveCall } from './act.ts'
import { ApiError, errorBody, json, notFound } from './api-error.ts'
import { callerOf, workspaceOf, type Caller } from './auth.ts'
import {
  batchResults,
  cancelBatch,
  deleteBatch,
  listBatches,
  retrieveBatch,
} from './batch-calls.ts'
import { createBatch, createdReply, readUpload } from './create.ts'
import type { FaultEffect, Operation } from './fault.ts'
import {
  answerMessage,
  countTokens,
  listModels,
  readParams,
  retrieveModel,
} from './message-calls.ts'
import type { Service } from './service.ts'
import { ConnectionReset, RequestBody, type Reply, type WireRequest } from './wire.ts'

/** The operation of a call and the id in its path. */
interface Route {
  readonly op: Operation
  readonly id?: string
}

const ROUTES: readonly (readonly [string, RegExp, Operation])[] = [
  ['POST', /^\/v1\/messages\/batches$/, 'create'],
  ['GET', /^\/v1\/messages\/batches$/, 'list'],
  ['GET', /^\/v1\/messages\/batches\/([^/]+)$/, 'retrieve'],
  ['DELETE', /^\/v1\/messages\/batches\/([^/]+)$/, 'delete'],
  ['GET', /^\/v1\/messages\/batches\/([^/]+)\/results$/, 'results'],
  ['POST', /^\/v1\/messages\/batches\/([^/]+)\/cancel$/, 'cancel'],
  ['POST', /^\/v1\/messages\/count_tokens$/, 'count_tokens'],
  ['POST', /^\/v1\/messages$/, 'messages'],
  ['GET', /^\/v1\/models$/, 'models'],
  ['GET', /^\/v1\/models\/([^/]+)$/, 'models'],
]

/** Finds the operation by method and path. */
function routeOf({ method, url }: Pick<WireRequest, 'method' | 'url'>): Route {
  for (const [wanted, path, op] of ROUTES) {
    const match = method === wanted ? path.exec(url.pathname) : null
    if (match) return match[1] === undefined ? { op } : { op, id: match[1] }
  }
  return { op: 'other' }
}

/** What an operation does once its body is read. */
type Operate = () => Reply | Promise<Reply>

/**
 * Handles one call of the API, from request to reply. It rejects with a ConnectionReset if there is no reply. The HTTP
 * server and the in-process `fetch` only adapt to this function.
 */
export async function handle(service: Service, request: WireRequest): Promise<Reply> {
  const route = routeOf(request)
  const requestId = service.ids.make('req')
  const log = (status: number): void =>
    service.calls.add({ op: route.op, status, at: service.now(), id: route.id })
  const body = new RequestBody(request.body)
  const call = { request, body, clock: service.settings.clock, requestId }
  const answered = answer(service, call, route).finally(() => body.leave())
  // `repliesToErrors` leaves only a ConnectionReset to be thrown.
  answered.catch(() => log(0))
  const reply = await answered
  log(reply.status)
  return { ...reply, headers: { ...commonHeaders(service, request, requestId), ...reply.headers } }
}

async function answer(service: Service, call: ActiveCall, route: Route): Promise<Reply> {
  const faults = service.script.pick(route.op, batchNumber(service, route))
  const reply = await repliesToErrors(call, () => perform(service, call, route, faults))
  return applyFaults(reply, faults, call)
}

async function perform(
  service: Service,
  call: ActiveCall,
  route: Route,
  faults: readonly FaultEffect[],
): Promise<Reply> {
  const early = await act('early', faults, call)
  if (early) return early
  const caller = callerOf(call.request, service)
  const doing = await read(service, call, route, caller, faults)
  const before = await act('before', faults, call)
  if (before) return before
  const done = await doing()
  return (await act('after', faults, call)) ?? done
}

/** Turns an error into its reply. */
async function repliesToErrors(
  { request, requestId }: ActiveCall,
  run: () => Promise<Reply>,
): Promise<Reply> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof ApiError) {
      return json(error.status, errorBody(error.type, error.message, error.errorCode, requestId))
    }
    if (error instanceof ConnectionReset || request.signal.aborted) throw new ConnectionReset()
    // A full disk, or an exception of `respond`, whose author should see it.
    return json(
      500,
      errorBody('api_error', `the emulator failed: ${String(error)}`, undefined, requestId),
    )
  }
}

/** Reads and checks the body of a call. Returns the operation to perform. */
async function read(
  service: Service,
  { request, body }: ActiveCall,
  route: Route,
  caller: Caller,
  faults: readonly FaultEffect[],
): Promise<Operate> {
  const { op, id = '' } = route
  const { workspace } = caller
  const query = request.url.searchParams
  if (op === 'create') {
    const upload = await readUpload(service, request, body, faults)
    return () => createdReply(service, createBatch(service, upload, caller, faults))
  }
  if (op === 'messages' || op === 'count_tokens') {
    const params = await readParams(body)
    return () =>
      op === 'messages' ? answerMessage(service, params, caller) : countTokens(params, caller)
  }
  // The bodies of other operations are ignored.
  await body.whole(Infinity)
  const operations: Record<Exclude<Operation, 'create' | 'messages' | 'count_tokens'>, Operate> = {
    retrieve: () => retrieveBatch(service, workspace, id),
    list: () => listBatches(service, workspace, query),
    results: () => batchResults(service, workspace, id, faults),
    cancel: () => cancelBatch(service, workspace, id),
    delete: () => deleteBatch(service, workspace, id),
    models: () => (route.id === undefined ? listModels(query) : retrieveModel(id)),
    other: () => {
      throw notFound('Not Found')
    },
  }
  return operations[op]
}

function batchNumber(service: Service, { op, id }: Route): number | undefined {
  if (op === 'create') return service.accepted + 1
  return service.batches.find(batch => batch.id === id)?.number
}

function commonHeaders(
  service: Service,
  request: WireRequest,
  requestId: string,
): Record<string, string> {
  const workspace = workspaceOf(request, service)
  return {
    date: new Date(service.now()).toUTCString(),
    'request-id': requestId,
    'anthropic-organization-id': service.organization,
    ...(workspace === undefined ? {} : { 'anthropic-workspace-id': workspace }),
  }
}
