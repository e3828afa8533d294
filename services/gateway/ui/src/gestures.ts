import { twoFingers, type Point } from './viewing'

/** What fingers and mice do on a stage; places are in its pixels. */
export interface Gestures {
  scroll: (slices: number) => void
  zoom: (factor: number, at: Point) => void
  pan: (by: Point) => void
  window: (by: Point) => void
  pick: (at: Point) => void
  /** A line between two places: while it is drawn, and once it is done. */
  measure: (from: Point, to: Point, done: boolean) => void
  reset: () => void
  /** Whether a finger that is dragged moves the picture rather than through the slices. */
  pans: () => boolean
  /** Whether a drag measures, by a finger or by the left button. */
  measures: () => boolean
}

/** A pointer that moved less than this was a click. */
const STILL_PX = 5
/** A finger goes one slice further over so many pixels, and a wheel over so many. */
const SLICE_PX = 14
const NOTCH = 60
const RIGHT = 2

/** Tells what is done on the element that it is used on. */
export function gestures(node: HTMLElement, does: Gestures): { destroy: () => void } {
  const on = new Listening(node, does)
  return { destroy: () => on.stop() }
}

class Listening {
  readonly #node: HTMLElement
  readonly #does: Gestures
  readonly #leaving = new AbortController()
  readonly #down = new Map<number, Point>()
  #begun: Point = [0, 0]
  #clicking = false
  #button = 0
  /** Where two fingers were put down, and what they turned out to do. */
  #two: readonly [Point, Point] | undefined
  #twoDo: ReturnType<typeof twoFingers>
  /** What is left of a wheel's or a finger's way to the next slice. */
  #rest = 0

  constructor(node: HTMLElement, does: Gestures) {
    this.#node = node
    this.#does = does
    const options = { signal: this.#leaving.signal, passive: false }
    node.addEventListener('wheel', (event) => this.#wheel(event), options)
    node.addEventListener('pointerdown', (event) => this.#press(event), options)
    node.addEventListener('pointermove', (event) => this.#move(event), options)
    node.addEventListener('pointerup', (event) => this.#lift(event, true), options)
    node.addEventListener('pointercancel', (event) => this.#lift(event, false), options)
    node.addEventListener('dblclick', () => does.reset(), options)
    // The right button is for the window.
    node.addEventListener('contextmenu', (event) => event.preventDefault(), options)
  }

  stop(): void {
    this.#leaving.abort()
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault()
    // A pinch on a touchpad comes as a wheel with Ctrl.
    if (event.ctrlKey) return this.#does.zoom(Math.exp(-event.deltaY / 200), this.#at(event))
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * NOTCH
    // A notch of a mouse's wheel is a slice, however far it says to go.
    if (Math.abs(pixels) >= NOTCH) return this.#does.scroll(Math.sign(pixels))
    this.#further(pixels, NOTCH / 2)
  }

  #press(event: PointerEvent): void {
    this.#down.set(event.pointerId, this.#at(event))
    // Of a pointer that is gone already there is nothing to capture.
    if (event.isTrusted) this.#node.setPointerCapture(event.pointerId)
    this.#begun = this.#at(event)
    this.#button = event.button
    this.#rest = 0
    const [one, other] = [...this.#down.values()]
    this.#two = one && other ? [one, other] : undefined
    this.#twoDo = undefined
    this.#clicking = this.#down.size === 1 && event.button === 0
  }

  #move(event: PointerEvent): void {
    const before = this.#down.get(event.pointerId)
    if (!before) return
    const now = this.#at(event)
    if (this.#clicking && away(this.#begun, now) < STILL_PX) return
    this.#clicking = false
    const other = [...this.#down].find(([id]) => id !== event.pointerId)?.[1]
    this.#down.set(event.pointerId, now)
    if (other) return this.#pinch(before, now, other)
    if (this.#draws()) return this.#does.measure(this.#begun, now, false)
    this.#drag([now[0] - before[0], now[1] - before[1]], event.pointerType)
  }

  /** Whether what is dragged now is a measure. */
  #draws(): boolean {
    return this.#button !== RIGHT && this.#down.size === 1 && this.#does.measures()
  }

  #pinch(before: Point, now: Point, other: Point): void {
    const [one, two] = [...this.#down.values()]
    if (this.#two && one && two) this.#twoDo ??= twoFingers(this.#two, [one, two])
    // Half of the way for each finger: both move, and each tells of its own.
    if (this.#twoDo === 'window') return this.#does.window([(now[0] - before[0]) / 2, (now[1] - before[1]) / 2])
    if (this.#twoDo === undefined) return
    const middle: Point = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]
    this.#does.zoom(away(now, other) / Math.max(away(before, other), 1), middle)
    this.#does.pan([(now[0] - before[0]) / 2, (now[1] - before[1]) / 2])
  }

  #drag(by: Point, pointer: string): void {
    if (this.#button === RIGHT) return this.#does.window(by)
    if (pointer === 'touch' && !this.#does.pans()) return this.#further(by[1], SLICE_PX)
    this.#does.pan(by)
  }

  #further(pixels: number, each: number): void {
    this.#rest += pixels
    const slices = Math.trunc(this.#rest / each)
    this.#rest -= slices * each
    if (slices !== 0) this.#does.scroll(slices)
  }

  #lift(event: PointerEvent, done: boolean): void {
    if (done && this.#down.has(event.pointerId)) {
      if (this.#clicking) this.#does.pick(this.#at(event))
      else if (this.#draws()) this.#does.measure(this.#begun, this.#at(event), true)
    }
    this.#down.delete(event.pointerId)
    this.#clicking = false
  }

  #at(event: MouseEvent): Point {
    const { left, top } = this.#node.getBoundingClientRect()
    return [event.clientX - left, event.clientY - top]
  }
}

function away(one: Point, other: Point): number {
  return Math.hypot(one[0] - other[0], one[1] - other[1])
}
