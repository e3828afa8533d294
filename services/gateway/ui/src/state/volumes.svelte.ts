import { getResult } from '../api/scans'

/** Of a long list, so that a scan that is opened meanwhile need not wait for all of it. */
const AT_ONCE = 4

/** How large the findings of scans are, as far as a list that is sorted by it has asked. */
class Volumes {
  #known = $state.raw<ReadonlyMap<string, number>>(new Map())

  #wanted: string[] = []
  #asked = new Set<string>()
  #lanes = 0
  #reader = {}

  /** Of the main findings, in mL; nothing of a scan that says of none, or none known. */
  of(id: string): number | undefined {
    return this.#known.get(id)
  }

  /** Asks for the results of these scans, each once. */
  want(ids: readonly string[]): void {
    const fresh = ids.filter((id) => !this.#asked.has(id))
    fresh.forEach((id) => this.#asked.add(id))
    this.#wanted.push(...fresh)
    while (this.#lanes < AT_ONCE && this.#lanes < this.#wanted.length) {
      this.#lanes += 1
      void this.#ask(this.#reader)
    }
  }

  /** These were analysed anew, or are gone: whoever sorts by it asks again. */
  stale(ids: readonly string[]): void {
    ids.forEach((id) => this.#asked.delete(id))
    if (ids.some((id) => this.#known.has(id))) this.#known = new Map([...this.#known].filter(([id]) => !ids.includes(id)))
  }

  /** Forgets all: somebody else may sign in. */
  clear(): void {
    this.#reader = {}
    this.#known = new Map()
    this.#wanted = []
    this.#asked.clear()
    this.#lanes = 0
  }

  async #ask(reader: object): Promise<void> {
    for (let id = this.#wanted.shift(); id; id = this.#wanted.shift()) {
      const result = await getResult(id).catch(() => undefined)
      if (reader !== this.#reader) return
      const volume = result?.totals?.volume_ml
      if (volume != null) this.#known = new Map([...this.#known, [id, volume]])
      // Whoever sorts again asks again.
      if (!result) this.#asked.delete(id)
    }
    this.#lanes -= 1
  }
}

export const volumes = new Volumes()
