import { ApiError, invalid } from './api-error.ts'
import { DEFAULT_WORKSPACE, type Service } from './service.ts'
import type { WireRequest } from './wire.ts'

/** The caller's workspace and API version. */
export interface Caller {
  readonly workspace: string
  readonly version: string
  /** `anthropic-beta`; empty without one. */
  readonly betas: string
  readonly userProfile: string | null
}

const VERSIONS = ['2023-01-01', '2023-06-01', '2026-10-21']

/**
 * Checks the key, workspace and version of a call.
 * @throws ApiError
 */
export function callerOf(request: WireRequest, service: Service): Caller {
  const key = keyOf(request)
  if (key === undefined)
    throw new ApiError(401, 'authentication_error', 'x-api-key header is required')
  const workspace = workspaceOf(request, service)
  if (workspace === undefined || service.revoked.has(key)) {
    throw new ApiError(401, 'authentication_error', 'invalid x-api-key')
  }
  const wanted = request.header('anthropic-workspace-id')
  if (wanted !== null && wanted !== workspace) {
    throw new ApiError(
      403,
      'permission_error',
      `This API key belongs to workspace ${workspace}, not to ${wanted}`,
    )
  }
  const version = request.header('anthropic-version')
  if (version === null) throw invalid('anthropic-version: header is required')
  if (!VERSIONS.includes(version))
    throw invalid(`anthropic-version: "${version}" is not a valid version`)
  return {
    workspace,
    version,
    betas: request.header('anthropic-beta') ?? '',
    userProfile: request.header('anthropic-user-profile-id'),
  }
}

/** The workspace of a call's key; undefined without a key or with an unknown one. */
export function workspaceOf(
  request: WireRequest,
  { settings: { keys } }: Service,
): string | undefined {
  const key = keyOf(request)
  if (key === undefined) return undefined
  if (keys === undefined) return DEFAULT_WORKSPACE
  return Object.hasOwn(keys, key) ? keys[key] : undefined
}

/** The key, in the header that the SDK uses since 1.0 or in the one before. */
function keyOf(request: WireRequest): string | undefined {
  const bearer = /^bearer +(\S+)$/i.exec(request.header('authorization') ?? '')?.[1]
  return bearer ?? (request.header('x-api-key') || undefined)
}
