import { DEFAULT_BACKOFF, type Waits } from './backoff.ts'
import type { Clock } from './clock.ts'
import { BatchStreamError } from './errors.ts'

/**
 * Maximum drift between the monotonic and the wall clock since the last reply; more means that the machine slept or its
 * clock was set.
 */
const TRUSTED_MS = 60_000

/** The API's clock, taken from `date` headers. The local clock may be wrong or jump, so the API's clock decides ages. */
export class ServerTime {
  readonly #clock: Clock
  #last: { readonly serverMs: number; readonly elapsed: number; readonly wall: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Observes a `date` header; a missing or invalid one is ignored. */
  observe(date: string | null): void {
    const serverMs = Date.parse(date ?? '')
    if (Number.isNaN(serverMs)) return
    this.#last = { serverMs, elapsed: this.#clock.elapsed(), wall: this.#clock.now() }
  }

  /** Ms since 1970 by the API's clock; null before the first `date` header. */
  now(): number | null {
    return this.#last ? this.#last.serverMs + (this.#clock.elapsed() - this.#last.elapsed) : null
  }

  /** The same, or null if uncertain: while a machine sleeps, its monotonic clock stops and the API's does not. */
  sure(): number | null {
    if (!this.#last) return null
    const { elapsed, wall } = this.#last
    const apart = this.#clock.now() - wall - (this.#clock.elapsed() - elapsed)
    return Math.abs(apart) > TRUSTED_MS ? null : this.now()
  }

  /** The same, or the local clock's time before the first `date` header. */
  nowOrOurs(): number {
    return this.now() ?? this.#clock.now()
  }
}

/** Remembers the workspace that owns a job's batches. */
export interface WorkspaceOwner {
  /** The job's name, for messages. */
  readonly name: string
  /** The workspace of its batches; null until a reply has named one. */
  workspace(): string | null
  /** Whether it has batches in a workspace: a gateway may have created some of them in another one. */
  hasBatchesIn(workspace: string): boolean
  remember(workspace: string): Promise<void>
}

/**
 * What a process learns from the API's replies: the server's clock, the key's workspace, and that the API replies at all. A
 * job keeps its workspace across runs; commands without a job use only a session.
 */
export class ApiSession {
  readonly clock: Clock
  readonly serverTime: ServerTime
  /** How long to wait between tries of one call. */
  waits: Waits = DEFAULT_BACKOFF
  readonly #owner: WorkspaceOwner | undefined
  #workspace: string | null = null
  /** Whether another endpoint has named the job's workspace, which the batches API may contradict. */
  #isProvisional = false
  #answered = false
  #hasObserved = false
  /** The workspace that replies have named last. */
  #named: string | undefined
  /** The workspace of this process's key, which the batches API has named first. */
  #own: string | undefined

  constructor(clock: Clock, owner?: WorkspaceOwner) {
    this.clock = clock
    this.serverTime = new ServerTime(clock)
    this.#owner = owner
  }

  /** Whether the API has replied to this process. */
  get answered(): boolean {
    return this.#answered
  }

  /** Whether a reply to this process has shown that its key is one of the job's workspace. */
  get isProven(): boolean {
    return this.#hasObserved || this.#isProvisional
  }

  /** The workspace of the job, or of the key; null until a reply has named one. */
  get workspace(): string | null {
    return this.#owner?.workspace() ?? this.#workspace
  }

  /** The workspace that replies name to this process; undefined if they do not. */
  get namedWorkspace(): string | undefined {
    return this.#named
  }

  /**
   * Why nothing can be sent: the key belongs to another workspace than the job. Those of its batches that are there can be collected.
   * Undefined if the key is the job's.
   */
  get visits(): BatchStreamError | undefined {
    const known = this.workspace
    if (!this.#owner || known === null || this.#own === undefined || this.#own === known)
      return undefined
    return otherWorkspace(this.#owner.name, known, this.#own)
  }

  /**
   * Observes the headers of a batches API reply, including error replies.
   *
   * @throws BatchStreamError `CBS_ACCESS` if the key belongs to another workspace than the job, which has no batch there
   */
  async observe(headers: Headers): Promise<void> {
    this.#answered = true
    this.#hasObserved = true
    this.serverTime.observe(headers.get('date'))
    const isProvisional = this.#isProvisional
    this.#isProvisional = false
    const workspace = workspaceIn(headers)
    // The page of a proxy names none.
    if (workspace === undefined) return
    this.#named = workspace
    this.#workspace = workspace
    if (!this.#owner) return
    const known = this.#owner.workspace()
    if (known === null || isProvisional) {
      this.#own = workspace
      if (known !== workspace) await this.#owner.remember(workspace)
      return
    }
    if (known === workspace || this.#owner.hasBatchesIn(workspace)) this.#own ??= workspace
    if (workspace !== (this.#own ?? known))
      throw otherWorkspace(this.#owner.name, this.#own ?? known, workspace)
  }

  /**
   * The same for another endpoint: its clock may differ from that of the batches API, and a gateway may use another key for it. So its
   * workspace counts only until the batches API names one.
   */
  async observeOther(headers: Headers): Promise<void> {
    this.#answered = true
    const workspace = workspaceIn(headers)
    this.#named ??= workspace
    if (workspace === undefined || this.workspace !== null) return
    this.#workspace = workspace
    this.#isProvisional = true
    await this.#owner?.remember(workspace)
  }

  /** Observes a reply from a cache, which shows nothing but that there is an API. */
  observeCached(): void {
    this.#answered = true
  }
}

function workspaceIn(headers: Headers): string | undefined {
  // A proxy may repeat the header.
  return headers.get('anthropic-workspace-id')?.split(',')[0]?.trim() || undefined
}

function otherWorkspace(job: string, known: string, got: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_ACCESS',
    `job ${job} belongs to workspace ${known}, but this key belongs to ${got}: use a key of ${known}`,
  )
}
