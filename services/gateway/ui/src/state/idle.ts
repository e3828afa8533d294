/** A page that nobody has touched for so long is locked. */
const IDLE_MS = 15 * 60_000
const LOOK_MS = 10_000
const TOUCHES = ['pointerdown', 'pointermove', 'keydown', 'wheel'] as const

/** Watches whether anybody is there, in this tab or, as others say, in one of theirs. */
export class Idle {
  #since = Date.now()
  readonly #left: () => void
  readonly #here: (now: number) => void

  /** `left` is called when nobody was there for long, `here` when somebody is. */
  constructor(left: () => void, here: (now: number) => void) {
    this.#left = left
    this.#here = here
  }

  /** From now on, as long as the page is there. */
  watch(): void {
    // Heard before whatever stops them on their way.
    TOUCHES.forEach((touch) => addEventListener(touch, () => this.#touch(), { capture: true, passive: true }))
    addEventListener('visibilitychange', () => this.isLeft())
    setInterval(() => this.isLeft(), LOOK_MS)
  }

  /** Begins anew: somebody has just proved to be there. */
  begin(): void {
    this.#since = Date.now()
  }

  /** Whether nobody was there for long; whoever has to be told is told first. Timers of a tab in the background may be late. */
  isLeft(): boolean {
    const isLeft = Date.now() - this.#since >= IDLE_MS
    if (isLeft) this.#left()
    return isLeft
  }

  // A computer that was asleep wakes up by a touch, before any timer: that touch may be anybody's.
  #touch(): void {
    if (this.isLeft()) return
    this.begin()
    this.#here(this.#since)
  }
}
