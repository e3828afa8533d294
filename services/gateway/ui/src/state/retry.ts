/** Each pause is twice the last. */
const PAUSE_MS = 20_000
const PAUSE_MOST_MS = 300_000

/** Sends again what a lost connection has kept: as soon as the browser says that there is one, or after a pause. */
export class Retry {
  #pause_ms = PAUSE_MS
  #timer = 0
  #send: (() => void) | undefined

  later(send: () => void): void {
    this.rest()
    this.#send = () => send()
    window.addEventListener('online', this.#send)
    this.#timer = window.setTimeout(this.#send, this.#pause_ms)
    this.#pause_ms = Math.min(2 * this.#pause_ms, PAUSE_MOST_MS)
  }

  /** Sends nothing by itself any more. */
  rest(): void {
    clearTimeout(this.#timer)
    if (this.#send) window.removeEventListener('online', this.#send)
    this.#send = undefined
  }

  /** What follows begins with the shortest pause. */
  over(): void {
    this.rest()
    this.#pause_ms = PAUSE_MS
  }
}
