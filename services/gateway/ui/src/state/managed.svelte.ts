import { asProblem, type Problem } from '../api/problem'

/** A list that somebody manages: after each deed it shows what is there then. */
export class Managed<Row, Once = never> {
  rows = $state.raw<readonly Row[]>([])
  /** What the last deed has brought and nobody is shown again, as a secret. */
  once = $state.raw<Once | undefined>()
  problem = $state.raw<Problem | undefined>()
  busy = $state(true)

  readonly #list: () => Promise<readonly Row[]>

  constructor(list: () => Promise<readonly Row[]>) {
    this.#list = list
  }

  /** Does it, and shows what is there then. */
  async act(deed?: () => Promise<unknown>): Promise<void> {
    this.busy = true
    this.problem = undefined
    this.once = undefined
    try {
      await deed?.()
      this.rows = await this.#list()
    } catch (cause) {
      this.problem = asProblem(cause)
    } finally {
      this.busy = false
    }
  }
}
