import { asProblem, type Problem } from '../api/problem'
import { listScans, type Scan } from '../api/scans'

const PAGE = 20
const REFRESH_MS = 3_000

/** The earlier scans, newest first, as far as they have been asked for. */
class Scans {
  list = $state<Scan[]>([])
  loading = $state(false)
  loaded = $state(false)
  problem = $state<Problem | undefined>()
  next = $state('')

  #timer = 0
  /** Whose list it is: what was asked before `clear` is not for whoever comes after. */
  #reader = {}

  async load(): Promise<void> {
    await this.#page('')
  }

  async more(): Promise<void> {
    if (this.next) await this.#page(this.next)
  }

  get(id: string): Scan | undefined {
    return this.list.find((scan) => scan.id === id)
  }

  /** Takes in what somebody else has just learnt of a scan. */
  remember(scan: Scan): void {
    this.#merge([scan])
    this.#follow()
  }

  /** Forgets everything: somebody else may sign in. */
  clear(): void {
    clearTimeout(this.#timer)
    this.#reader = {}
    this.list = []
    this.next = ''
    this.loaded = false
    this.problem = undefined
  }

  async #page(cursor: string): Promise<void> {
    const reader = this.#reader
    this.loading = true
    this.problem = undefined
    try {
      const page = await listScans(cursor, PAGE)
      if (reader !== this.#reader) return
      const first = !this.loaded
      this.#merge(page.scans)
      // A refresh of the first page says nothing about how far the list has been read.
      if (cursor || first) this.next = page.next_cursor ?? ''
      this.loaded = true
      this.#follow()
    } catch (cause) {
      if (reader === this.#reader) this.problem = asProblem(cause)
    } finally {
      this.loading = false
    }
  }

  #merge(scans: Scan[]): void {
    const known = new Map(this.list.map((scan) => [scan.id, scan]))
    for (const scan of scans) {
      // News travel by several ways, and a done scan never changes back.
      if (known.get(scan.id)?.state !== 'done') known.set(scan.id, scan)
    }
    this.list = [...known.values()].sort((a, b) => b.accepted_ms - a.accepted_ms || (a.id < b.id ? 1 : -1))
  }

  // One small request for all of them: a stream each would use up the browser's connections.
  #follow(): void {
    clearTimeout(this.#timer)
    if (this.list.some((scan) => scan.state !== 'done')) {
      this.#timer = window.setTimeout(() => void this.#refresh(), REFRESH_MS)
    }
  }

  async #refresh(): Promise<void> {
    const reader = this.#reader
    try {
      const page = await listScans('', PAGE)
      if (reader !== this.#reader) return
      this.#merge(page.scans)
    } catch {
      // Whoever opens a scan learns why; the list tries again.
    }
    if (reader === this.#reader) this.#follow()
  }
}

export const scans = new Scans()
