/** What a command opened, closed in the opposite order, whatever happens: connections before the server, the lock last. */

export interface Opened {
  /** Keeps a thing until the end of the command. Answers it. */
  keep<T>(thing: T, close: (thing: T) => unknown): T
}

/** Runs `work`, then closes all that it kept, newest first. A failure to close is thrown only where the work itself did not fail. */
export async function withOpened<T>(work: (opened: Opened) => Promise<T>): Promise<T> {
  const closers: (() => unknown)[] = []
  const opened: Opened = {
    keep: (thing, close) => {
      closers.push(() => close(thing))
      return thing
    },
  }
  let failure: { readonly error: unknown } | null = null
  try {
    return await work(opened)
  } catch (error) {
    failure = { error }
    throw error
  } finally {
    const errors = await closeAll(closers)
    if (failure === null && errors.length > 0) throw errors[0]
  }
}

async function closeAll(closers: (() => unknown)[]): Promise<readonly unknown[]> {
  const errors: unknown[] = []
  for (const close of closers.reverse()) {
    try {
      await close()
    } catch (error) {
      errors.push(error)
    }
  }
  return errors
}
