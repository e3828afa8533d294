import { asProblem, type Problem } from '../api/problem'
import { listReviews } from '../api/reviews'
import { listScans, type Scan, type ScanPage } from '../api/scans'
import { ALL, matches, type Filter } from '../filter'
import { reviews } from './reviews.svelte'

const PAGE = 20
const REFRESH_MS = 3_000

/** The earlier scans, newest first, as far as they have been asked for. */
class Scans {
  loading = $state(false)
  loaded = $state(false)
  problem = $state<Problem | undefined>()
  next = $state('')
  /** Which of them are listed. */
  filter = $state.raw<Filter>(ALL)

  /** All that was ever learnt, so that a scan that is open does not go with the list. */
  #known = $state.raw<ReadonlyMap<string, Scan>>(new Map())
  /** Those that came with the list, or were learnt since. */
  #listed = $state.raw<ReadonlySet<string>>(new Set())

  list = $derived(inOrder([...this.#known.values()].filter((scan) => this.#isListed(scan))))
  /** Those that there may be a review of, whatever is listed of them. */
  reviewable = $derived(inOrder([...this.#known.values()].filter((scan) => this.#isReviewable(scan))).map(({ id }) => id))

  #timer = 0
  /** Whose list it is: what was asked before `clear` is not for whoever comes after. */
  #reader = {}

  async load(): Promise<void> {
    await this.#page('')
  }

  async more(): Promise<void> {
    if (this.next) await this.#page(this.next)
  }

  /** Lists others: from their newest on. */
  async choose(filter: Filter): Promise<void> {
    this.#reader = {}
    this.filter = filter
    this.#listed = new Set()
    this.next = ''
    this.loaded = false
    await this.load()
  }

  get(id: string): Scan | undefined {
    return this.#known.get(id)
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
    this.#known = new Map()
    this.#listed = new Set()
    this.filter = ALL
    this.next = ''
    this.loaded = false
    this.loading = false
    this.problem = undefined
  }

  #isListed(scan: Scan): boolean {
    return this.#listed.has(scan.id) && matches(this.filter, scan, reviews.of(scan.id))
  }

  #isReviewable({ id, state, answer }: Scan): boolean {
    return this.#listed.has(id) && state === 'done' && answer !== 'failed'
  }

  async #page(cursor: string): Promise<void> {
    const reader = this.#reader
    this.loading = true
    this.problem = undefined
    try {
      const page = await this.#ask(cursor)
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
      if (reader === this.#reader) this.loading = false
    }
  }

  async #ask(cursor: string): Promise<ScanPage> {
    const { filter } = this
    if (filter.by !== 'review') return listScans(cursor, PAGE, filter)
    const reader = this.#reader
    const page = await listReviews(cursor, PAGE, filter.review)
    if (reader === this.#reader) reviews.remember(page.scans)
    return page
  }

  #merge(scans: readonly Scan[]): void {
    const known = new Map(this.#known)
    for (const scan of scans) {
      // News travel by several ways, and a done scan never changes back.
      if (known.get(scan.id)?.state !== 'done') known.set(scan.id, scan)
    }
    this.#known = known
    this.#listed = new Set([...this.#listed, ...scans.map(({ id }) => id)])
  }

  // One small request for all of them: a stream each would use up the browser's connections.
  #follow(): void {
    clearTimeout(this.#timer)
    if ([...this.#known.values()].some((scan) => scan.state !== 'done')) {
      this.#timer = window.setTimeout(() => void this.#refresh(), REFRESH_MS)
    }
  }

  async #refresh(): Promise<void> {
    const reader = this.#reader
    try {
      // Unfiltered: what is no longer such a scan would not come, and would stay what it was.
      const page = await listScans('', PAGE, ALL)
      if (reader !== this.#reader) return
      this.#merge(page.scans)
    } catch {
      // Whoever opens a scan learns why; the list tries again.
    }
    if (reader === this.#reader) this.#follow()
  }
}

function inOrder(scans: Scan[]): Scan[] {
  return scans.sort((a, b) => b.accepted_ms - a.accepted_ms || (a.id < b.id ? 1 : -1))
}

export const scans = new Scans()
