/** The lock of a workspace: one worker at a time. */

export interface LockHolder {
  readonly pid: number
  readonly command: string
  readonly since: number
}
/** One worker per workspace. */
export interface WorkspaceLock {
  /** null: a living holder has it (never taken over, however late). A dead holder's is taken at once. */
  acquire(command: string): Promise<{ release(): Promise<void>; readonly lost: AbortSignal } | null>
  /** Who holds it, as far as known. */
  holder(): Promise<LockHolder | null>
}
