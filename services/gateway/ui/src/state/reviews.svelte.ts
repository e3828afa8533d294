import type { FeedbackOfScan } from '../api/feedback'
import { asProblem } from '../api/problem'
import { listReviews, type ReviewedScan } from '../api/reviews'
import type { Review } from '../filter'

/** More than a page of the list: scans that are no page's lie between them where it is filtered. */
const PAGE = 100

/** How far the review of each scan of the list is, as far as this user is told. */
class Reviews {
  #known = $state.raw<ReadonlyMap<string, Review>>(new Map())
  /** Whether this user is told. */
  #told = true
  #asked = new Set<string>()
  #reader = {}

  /** Nothing of a scan that there is no review of, or none known. */
  of(id: string): Review | undefined {
    return this.#known.get(id)
  }

  /** Takes in what a list has said. */
  remember(scans: readonly Pick<ReviewedScan, 'id' | 'review'>[]): void {
    scans.forEach(({ id }) => this.#asked.add(id))
    const said = scans.map(({ id, review }) => [id, review ?? 'hidden'] as const)
    this.#known = new Map([...this.#known, ...said])
  }

  /** Takes in what was said of one scan, such as by a word that was just given. */
  learn(id: string, { state, hidden }: Pick<FeedbackOfScan, 'state' | 'hidden'>): void {
    if (state !== null || hidden > 0) this.remember([{ id, review: state }])
  }

  /** Asks for those that are not known, newest first as the list has them: one request from the first of them on. */
  want(ids: readonly string[]): void {
    const first = ids.findIndex((id) => !this.#asked.has(id))
    if (first < 0 || !this.#told) return
    ids.slice(first).forEach((id) => this.#asked.add(id))
    void this.#ask(ids[first - 1] ?? '', ids.slice(first), this.#reader)
  }

  /** Something of these scans has changed: whoever lists them asks again. */
  stale(ids: readonly string[]): void {
    ids.forEach((id) => this.#asked.delete(id))
  }

  /** Forgets all: somebody else may sign in. */
  clear(): void {
    this.#reader = {}
    this.#known = new Map()
    this.#asked.clear()
    this.#told = true
  }

  async #ask(cursor: string, ids: readonly string[], reader: object): Promise<void> {
    try {
      const { scans } = await listReviews(cursor, PAGE)
      if (reader === this.#reader) this.remember(scans)
    } catch (cause) {
      if (reader !== this.#reader) return
      if (asProblem(cause).status === 403) this.#told = false
      // The rows stand without it; whoever lists them again asks again.
      else ids.forEach((id) => this.#asked.delete(id))
    }
  }
}

export const reviews = new Reviews()
