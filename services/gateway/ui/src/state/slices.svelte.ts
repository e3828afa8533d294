import { asProblem, type Problem } from '../api/problem'
import { getSlice } from '../api/slices'
import { sameWindow, type Window } from '../viewing'

/** At once: while some are on their way, what is looked at may change. */
const LANES = 4
/** Slices before and after the one that is looked at that are fetched, and that are kept. */
const AHEAD = 48
const KEPT = 128
/** By a window that may change again at once: until they are made anew the others are stretched to it. */
const AHEAD_BY_HAND = 6

export interface Shown {
  url: string
  /** By which it was made. */
  window: Window
  /** Which one was asked for; nothing: the scan's own. */
  asked: Window | undefined
}

/** The pictures of a scan's slices: first of the one that is looked at, then of its neighbours. */
export class SlicePictures {
  problem = $state.raw<Problem | undefined>()
  /** The scan's own window, once it is known. */
  own = $state.raw<Window | undefined>()
  #shown = $state.raw<ReadonlyMap<number, Shown>>(new Map())

  readonly #id: string
  readonly #slices: number
  readonly #leaving = new AbortController()
  readonly #coming = new Set<number>()
  #slice = 0
  #window: Window | undefined

  constructor(id: string, slices: number) {
    this.#id = id
    this.#slices = slices
  }

  /** The picture of a slice; it may be of another window than is wanted, while that one is on its way. */
  of(slice: number): Shown | undefined {
    return this.#shown.get(slice)
  }

  /** Looks at a slice, by that window or by the scan's own. */
  want(slice: number, window: Window | undefined): void {
    this.#slice = slice
    this.#window = window
    this.problem = undefined
    this.#fetch()
  }

  close(): void {
    this.#leaving.abort()
    this.#shown.forEach(({ url }) => URL.revokeObjectURL(url))
    this.#shown = new Map()
  }

  #fetch(): void {
    while (this.#coming.size < LANES && !this.problem && !this.#leaving.signal.aborted) {
      const next = this.#nearest()
      if (next === undefined) return
      this.#coming.add(next)
      void this.#bring(next, this.#window)
    }
  }

  #nearest(): number | undefined {
    const ahead = this.#window ? AHEAD_BY_HAND : AHEAD
    for (let away = 0; away <= ahead; away++) {
      for (const slice of [this.#slice + away, this.#slice - away]) {
        const there = slice >= 0 && slice < this.#slices
        if (there && !this.#coming.has(slice) && !this.#has(slice)) return slice
      }
    }
    return undefined
  }

  #has(slice: number): boolean {
    const shown = this.#shown.get(slice)
    return shown !== undefined && sameWindow(shown.asked, this.#window)
  }

  async #bring(slice: number, asked: Window | undefined): Promise<void> {
    try {
      const { blob, window } = await getSlice(this.#id, slice, asked, this.#leaving.signal)
      if (!asked) this.own ??= window
      if (!this.#leaving.signal.aborted) this.#keep(slice, { url: URL.createObjectURL(blob), window, asked })
    } catch (cause) {
      if (!this.#leaving.signal.aborted) this.problem = asProblem(cause)
    }
    this.#coming.delete(slice)
    this.#fetch()
  }

  #keep(slice: number, shown: Shown): void {
    const all = new Map(this.#shown)
    const before = all.get(slice)
    if (before) URL.revokeObjectURL(before.url)
    all.set(slice, shown)
    for (const [far, { url }] of all) {
      if (Math.abs(far - this.#slice) <= KEPT) continue
      URL.revokeObjectURL(url)
      all.delete(far)
    }
    this.#shown = all
  }
}
