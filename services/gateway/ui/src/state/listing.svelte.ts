import { asProblem, type Problem } from '../api/problem'
import { findScans, NAMED } from '../api/scans'
import type { Order } from '../order'
import { scans } from './scans.svelte'

/** How the list is looked through: its order, and what is searched for in it. */
class Listing {
  order = $state<Order>('newest')
  /** What is searched for. It may be somebody's name: it lives in memory only, and in no address that a browser keeps. */
  text = $state('')
  asking = $state(false)
  problem = $state<Problem | undefined>()
  /** Whether there are more of that name than were asked for. */
  more = $state(false)

  /** What the server has found, and by what. */
  #found = $state.raw<{ text: string; ids: ReadonlySet<string> }>({ text: '', ids: new Set() })
  #reader = {}

  /** Whether the server has found that scan by what is searched for, whatever its row says. */
  hasFound(id: string): boolean {
    return this.text.trim() === this.#found.text && this.#found.ids.has(id)
  }

  /** Searches what is listed for that. */
  search(text: string): void {
    this.#reader = {}
    this.text = text
    this.asking = false
    this.problem = undefined
    this.more = false
  }

  /** Asks the server, too, for scans that are called exactly so, however old they are. */
  async ask(): Promise<void> {
    const text = this.text.trim()
    if (!text) return
    this.search(this.text)
    const reader = this.#reader
    this.asking = true
    try {
      const pages = await Promise.all(NAMED.map((by) => findScans(by, text, scans.filter)))
      if (reader !== this.#reader) return
      const all = pages.flatMap((page) => page.scans)
      this.#found = { text, ids: new Set(all.map(({ id }) => id)) }
      this.more = pages.some((page) => page.next_cursor !== null)
      all.forEach((scan) => scans.remember(scan))
    } catch (cause) {
      if (reader === this.#reader) this.problem = asProblem(cause)
    } finally {
      if (reader === this.#reader) this.asking = false
    }
  }

  /** Forgets what was searched for: somebody else may sign in. */
  clear(): void {
    this.search('')
    this.order = 'newest'
    this.#found = { text: '', ids: new Set() }
  }
}

export const listing = new Listing()
