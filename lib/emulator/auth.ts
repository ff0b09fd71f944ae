import { ApiError, invalid } from './api-error.ts'
import { DEFAULT_WORKSPACE, type Service } from './service.ts'
import type { WireRequest } from './wire.ts'

/** Who calls, and under which version of the API. */
export interface Caller {
  readonly workspace: string
  readonly version: string
  /** `anthropic-beta`; empty without one. */
  readonly betas: string
  readonly userProfile: string | null
}

const VERSIONS = ['2023-01-01', '2023-06-01', '2026-10-21']

/** Checks key, workspace and version of a call. Throws the ApiError that refuses it. */
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

/** The workspace that the key of a call belongs to; undefined for no key, or one that nobody knows. */
export function workspaceOf(
  request: WireRequest,
  { settings: { keys } }: Service,
): string | undefined {
  const key = keyOf(request)
  if (key === undefined) return undefined
  if (keys === undefined) return DEFAULT_WORKSPACE
  return Object.hasOwn(keys, key) ? keys[key] : undefined
}

/** The key, as the SDK sends it since 1.0 or as it did before. */
function keyOf(request: WireRequest): string | undefined {
  const bearer = /^bearer +(\S+)$/i.exec(request.header('authorization') ?? '')?.[1]
  return bearer ?? (request.header('x-api-key') || undefined)
}
