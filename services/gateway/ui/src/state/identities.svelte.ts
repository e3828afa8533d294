import { getIdentity, type Identity } from '../api/identity'
import { asProblem, type Problem } from '../api/problem'
import { reason } from '../reason'

const HIDDEN = 'medseg.hide-names'
/** Of a long list, so that a scan that is opened meanwhile need not wait for all of it. */
const AT_ONCE = 4

/**
 * Whose scans are on the page.
 *
 * What is hidden is not asked for: each reading is in the audit trail. Names live in memory only; that they are hidden is
 * remembered on this device.
 */
class Identities {
  hidden = $state(localStorage.getItem(HIDDEN) === 'yes')
  /** Whether this user may know. */
  told = $state(true)
  /** Whether the hospital asks why, and this user has not said it. */
  asksWhy = $state(false)
  #known = $state<Record<string, Identity>>({})

  #wanted: string[] = []
  #asked = new Set<string>()
  #lanes = 0
  #reader = {}

  /** Whose scan it is; nothing while that is hidden or not known yet. */
  of(id: string): Identity | undefined {
    return this.hidden ? undefined : this.#known[id]
  }

  hide(hidden: boolean): void {
    this.hidden = hidden
    localStorage.setItem(HIDDEN, hidden ? 'yes' : 'no')
    if (hidden) this.#forgo()
  }

  /** Says why this user looks; who shows scans asks again. */
  say(why: string): void {
    reason.text = why.trim()
    this.asksWhy = false
    this.told = true
    this.#asked.clear()
  }

  /** Asks whose these scans are, the first of them first, each once. */
  want(ids: readonly string[]): void {
    if (this.hidden || !this.told) return
    const fresh = ids.filter((id) => !this.#asked.has(id))
    fresh.forEach((id) => this.#asked.add(id))
    this.#wanted.unshift(...fresh)
    while (this.#lanes < AT_ONCE && this.#lanes < this.#wanted.length) {
      this.#lanes += 1
      void this.#ask(this.#reader)
    }
  }

  /** Forgets everybody: somebody else may sign in. */
  clear(): void {
    this.#reader = {}
    this.#known = {}
    this.#wanted = []
    this.#asked.clear()
    this.#lanes = 0
    this.told = true
    this.asksWhy = false
    reason.text = ''
  }

  /** Takes back what has not been asked yet. */
  #forgo(): void {
    this.#wanted.forEach((id) => this.#asked.delete(id))
    this.#wanted = []
  }

  async #ask(reader: object): Promise<void> {
    for (let id = this.#wanted.shift(); id; id = this.#wanted.shift()) {
      try {
        const identity = await getIdentity(id)
        if (reader !== this.#reader) return
        this.#known[id] = identity
      } catch (cause) {
        if (reader !== this.#reader) return
        this.#failed(id, asProblem(cause))
      }
    }
    if (reader === this.#reader) this.#lanes -= 1
  }

  #failed(id: string, { status, detail }: Problem): void {
    if (status === 403) {
      this.told = false
      this.asksWhy = detail.includes('Medseg-Reason')
      this.#forgo()
    } else {
      // Whoever shows it again asks again.
      this.#asked.delete(id)
    }
  }
}

export const identities = new Identities()
