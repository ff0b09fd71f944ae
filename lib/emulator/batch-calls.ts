import { invalid, json, notFound } from './api-error.ts'
import { isArchived, isListed, showBatch, statusOf, type Batch } from './batches.ts'
import { download } from './download.ts'
import type { FaultEffect } from './fault.ts'
import { page } from './paging.ts'
import type { Service } from './service.ts'
import type { Reply } from './wire.ts'

/** GET /v1/messages/batches/{id} */
export async function retrieveBatch(
  service: Service,
  workspace: string,
  id: string,
): Promise<Reply> {
  return json(200, await show(service, service.find(id, workspace)))
}

/** GET /v1/messages/batches */
export async function listBatches(
  service: Service,
  workspace: string,
  query: URLSearchParams,
): Promise<Reply> {
  const now = service.now()
  const visible = service.batches.filter(
    batch => batch.workspace === workspace && isListed(batch, now),
  )
  // The sort is stable: of two batches of the same millisecond the later one comes first.
  const newestFirst = visible.reverse().sort((a, b) => b.createdAt - a.createdAt)
  const { data, ...rest } = page(newestFirst, query)
  const shown: object[] = []
  for (const batch of data) shown.push(await show(service, batch))
  return json(200, { data: shown, ...rest })
}

/** POST /v1/messages/batches/{id}/cancel. Canceling twice changes nothing; an ended batch cannot be canceled. */
export async function cancelBatch(service: Service, workspace: string, id: string): Promise<Reply> {
  const batch = service.find(id, workspace)
  if (statusOf(batch, service.now()) === 'ended')
    throw invalid(`Message Batch ${id} has ended and cannot be canceled`)
  batch.cancelAt ??= service.now()
  // Shown as canceling even if canceling takes no time.
  return json(200, showBatch(batch, batch.cancelAt - 1, undefined, service.origin))
}

/** DELETE /v1/messages/batches/{id}, for an ended batch. The ledger keeps its requests. */
export async function deleteBatch(service: Service, workspace: string, id: string): Promise<Reply> {
  const batch = service.find(id, workspace)
  const settled = service.settledOf(batch)
  if (!settled)
    throw invalid(`Message Batch ${id} cannot be deleted while it is in progress; cancel it first`)
  await (await settled).lines.remove()
  batch.deletedAt = service.now()
  return json(200, { id, type: 'message_batch_deleted' })
}

/** GET /v1/messages/batches/{id}/results, from the batch's end until 29 days after its creation. */
export async function batchResults(
  service: Service,
  workspace: string,
  id: string,
  faults: readonly FaultEffect[],
): Promise<Reply> {
  const batch = service.find(id, workspace)
  const settled = service.settledOf(batch)
  if (!settled)
    throw invalid(`Message Batch ${id} has not ended; its results are not available yet`)
  if (isArchived(batch, service.now()))
    throw notFound(`The results of Message Batch ${id} are no longer available`)
  return download(await settled, batch.number, service.settings.order, faults)
}

async function show(service: Service, batch: Batch): Promise<object> {
  // One reading of the clock, so that a batch that ends meanwhile is not shown as ended with older counts.
  const now = service.now()
  const settled = statusOf(batch, now) === 'ended' ? await service.settledOf(batch) : undefined
  return showBatch(batch, now, settled?.tally, service.origin)
}
