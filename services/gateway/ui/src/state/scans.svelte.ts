import { follow } from '../api/follow'
import { asProblem, type Problem } from '../api/problem'
import { listScans, type Scan, type ScanPage } from '../api/scans'
import { ALL, matches, type Filter } from '../filter'
import { reviews } from './reviews.svelte'

const PAGE = 20
const REFRESH_MS = 3_000
/** News that come together are taken in together. */
const TOGETHER_MS = 150

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
  /** Those that there were, and are no more. */
  #gone = $state.raw<ReadonlySet<string>>(new Set())
  /** Those that came with the list, or were learnt since. */
  #listed = $state.raw<ReadonlySet<string>>(new Set())

  list = $derived(inOrder([...this.#known.values()].filter((scan) => this.#isListed(scan))))
  /** Those that there may be a review of, whatever is listed of them. */
  reviewable = $derived(inOrder([...this.#known.values()].filter((scan) => this.#isReviewable(scan))).map(({ id }) => id))

  #timer = 0
  /** Until somebody else signs in; nothing: nobody listens. */
  #listening: AbortController | undefined
  /** Whether one stream tells of all changes. */
  #live = false
  /** What the stream has told and is not taken in yet; nothing of a scan: it is gone. */
  #news = new Map<string, Scan | undefined>()
  #newsTimer = 0
  /** Whose list it is: what was asked before `clear` is not for whoever comes after. */
  #reader = {}

  async load(): Promise<void> {
    this.#listen()
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

  /** Whether the scan was deleted. */
  isGone(id: string): boolean {
    return this.#gone.has(id)
  }

  /** Takes in what somebody else has just learnt of a scan. */
  remember(scan: Scan): void {
    this.#merge([scan])
    this.#follow()
  }

  /** Takes in what a scan is now, whatever was known of it. */
  replace(scan: Scan): void {
    this.#take([[scan.id, scan]])
  }

  /** There is no such scan any more. */
  forget(id: string): void {
    this.#take([[id, undefined]])
  }

  /** Forgets everything: somebody else may sign in. */
  clear(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#newsTimer)
    this.#listening?.abort()
    this.#listening = undefined
    this.#live = false
    this.#news.clear()
    this.#newsTimer = 0
    this.#reader = {}
    this.#known = new Map()
    this.#gone = new Set()
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
    const [{ filter }, reader] = [this, this.#reader]
    const page = await listScans(cursor, PAGE, filter)
    const { review } = filter
    // Those that were asked for are those: their rows wait for no other list.
    if (review !== '' && reader === this.#reader) reviews.remember(page.scans.map(({ id }) => ({ id, review })))
    return page
  }

  #merge(scans: readonly Scan[]): void {
    const known = new Map(this.#known)
    for (const scan of scans) {
      const before = known.get(scan.id)
      // News travel by several ways: that a done scan waits again, only the stream says, which has an order.
      if (before?.state !== 'done') known.set(scan.id, joined(scan, before))
    }
    this.#known = known
    this.#listed = new Set([...this.#listed, ...scans.map(({ id }) => id)])
  }

  /** Hears of all changes in one stream: one for each scan would use up the browser's connections. */
  #listen(): void {
    if (this.#listening) return
    const listening = new AbortController()
    this.#listening = listening
    const hearing = {
      seen: (scan: Scan) => this.#hear(scan.id, scan),
      gone: (id: string) => this.#hear(id, undefined),
      live: (live: boolean) => {
        if (this.#live === live || listening.signal.aborted) return
        this.#live = live
        this.#follow()
      },
    }
    void follow(hearing, listening.signal)
  }

  #hear(id: string, scan: Scan | undefined): void {
    this.#news.delete(id)
    this.#news.set(id, scan)
    if (this.#newsTimer) return
    this.#newsTimer = window.setTimeout(() => {
      this.#newsTimer = 0
      const news = [...this.#news]
      this.#news.clear()
      this.#take(news)
    }, TOGETHER_MS)
  }

  #take(news: readonly (readonly [string, Scan | undefined])[]): void {
    const [known, listed] = [new Map(this.#known), new Set(this.#listed)]
    for (const [id, scan] of news) {
      if (scan) {
        known.set(id, joined(scan, known.get(id)))
        if (this.#reaches(scan)) listed.add(id)
      } else {
        known.delete(id)
        listed.delete(id)
      }
    }
    reviews.stale(news.flatMap(([id, scan]) => (scan?.state === 'done' ? [id] : [])))
    const gone = news.flatMap(([id, scan]) => (scan ? [] : [id]))
    if (gone.length > 0) this.#gone = new Set([...this.#gone, ...gone])
    this.#known = known
    this.#listed = listed
    this.#follow()
  }

  /** Whether the list has been read so far back. */
  #reaches({ accepted_ms }: Scan): boolean {
    if (!this.loaded) return false
    return !this.next || this.list.some((listed) => listed.accepted_ms <= accepted_ms)
  }

  // Where the stream does not come: one small request for all of them.
  #follow(): void {
    clearTimeout(this.#timer)
    if (this.#live) return
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

/** The scan, with what not every answer says of it. */
function joined(scan: Scan, before: Scan | undefined): Scan {
  return { ...scan, study: scan.study ?? before?.study ?? null, batch: scan.batch ?? before?.batch ?? null }
}

function inOrder(scans: Scan[]): Scan[] {
  return scans.sort((a, b) => b.accepted_ms - a.accepted_ms || (a.id < b.id ? 1 : -1))
}

export const scans = new Scans()
