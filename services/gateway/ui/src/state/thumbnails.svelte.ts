import { getThumbnail, type Scan } from '../api/scans'

/** At once: a browser has few connections, and a reader's slices go before. */
const LANES = 2
/** So many are kept, as long as they may be shown. */
const KEPT = 300

type Shown = Pick<Scan, 'id' | 'completed_ms'>

/** The small pictures of the list. They are in memory only. */
class Thumbnails {
  #shown = $state.raw<ReadonlyMap<string, string>>(new Map())
  #asked = new Set<string>()
  #wanted: Shown[] = []
  #lanes = 0
  #reader = {}

  /** The picture's address; nothing while it is on its way, or there is none. */
  of(scan: Shown): string | undefined {
    return this.#shown.get(keyOf(scan))
  }

  /** Asks for a scan's picture, once; another one when there is a result. */
  want(scan: Shown): void {
    const key = keyOf(scan)
    if (this.#asked.has(key)) return
    this.#asked.add(key)
    this.#wanted.push(scan)
    if (this.#lanes < LANES) {
      this.#lanes += 1
      void this.#ask(this.#reader)
    }
  }

  /** Forgets all: somebody else may sign in. */
  clear(): void {
    this.#reader = {}
    this.#shown.forEach((url) => URL.revokeObjectURL(url))
    this.#shown = new Map()
    this.#asked.clear()
    this.#wanted = []
    this.#lanes = 0
  }

  async #ask(reader: object): Promise<void> {
    for (let scan = this.#wanted.shift(); scan; scan = this.#wanted.shift()) {
      // The row stands without it where it cannot be had.
      const picture = await getThumbnail(scan.id).catch(() => undefined)
      if (reader !== this.#reader) return
      if (picture) this.#keep(keyOf(scan), URL.createObjectURL(picture))
    }
    if (reader === this.#reader) this.#lanes -= 1
  }

  #keep(key: string, url: string): void {
    const all = new Map(this.#shown).set(key, url)
    for (const [oldest, old] of all) {
      if (all.size <= KEPT) break
      URL.revokeObjectURL(old)
      all.delete(oldest)
      this.#asked.delete(oldest)
    }
    this.#shown = all
  }
}

function keyOf({ id, completed_ms }: Shown): string {
  return `${id}/${completed_ms ?? ''}`
}

export const thumbnails = new Thumbnails()
