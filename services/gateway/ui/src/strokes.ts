import type { Point } from './viewing'

/** What pens, fingers and mice draw on a pad; places are in its pixels. */
export interface Strokes {
  begin: (at: Point, erasing: boolean) => void
  draw: (to: Point) => void
  end: () => void
  cancel: () => void
  hover: (at: Point) => void
}

const PRIMARY = 0
/** The end of a pen that erases (Pointer Events, table of buttons). */
const ERASER = 5

/**
 * Tells what is drawn on the element that it is used on. All else goes on to what lies under it: the right button, the wheel,
 * two fingers, and a finger beside a pen, whose hand lies on the picture.
 */
export function strokes(node: HTMLElement, does: Strokes): { destroy: () => void } {
  const on = new Listening(node, does)
  return { destroy: () => on.stop() }
}

class Listening {
  readonly #node: HTMLElement
  readonly #does: Strokes
  readonly #leaving = new AbortController()
  /** The pointer that draws, as it was put down. */
  #drawing: PointerEvent | undefined
  #fingers = new Set<number>()
  #pen = false
  /** Where a pointer was last: what moves under one that lies still is no movement of it. */
  #last: Point = [-1, -1]

  constructor(node: HTMLElement, does: Strokes) {
    this.#node = node
    this.#does = does
    const options = { signal: this.#leaving.signal }
    node.addEventListener('pointerdown', (event) => this.#press(event), options)
    node.addEventListener('pointermove', (event) => this.#move(event), options)
    node.addEventListener('pointerup', (event) => this.#lift(event, true), options)
    node.addEventListener('pointercancel', (event) => this.#lift(event, false), options)
    // Two dabs beside each other are no double click.
    node.addEventListener('dblclick', (event) => event.stopPropagation(), options)
  }

  stop(): void {
    this.#leaving.abort()
    if (this.#drawing) this.#does.end()
  }

  #press(event: PointerEvent): void {
    this.#pen ||= event.pointerType === 'pen'
    if (event.pointerType === 'touch') this.#fingers.add(event.pointerId)
    if (this.#fingers.size > 1) return this.#hand()
    if (!this.#draws(event)) return
    event.stopPropagation()
    if (event.isTrusted) this.#node.setPointerCapture(event.pointerId)
    this.#drawing = event
    this.#does.begin(this.#at(event), event.button === ERASER)
  }

  #draws({ button, pointerType }: PointerEvent): boolean {
    const one = this.#drawing === undefined && (button === PRIMARY || button === ERASER)
    return one && !(pointerType === 'touch' && this.#pen)
  }

  #move(event: PointerEvent): void {
    const moved = event.clientX !== this.#last[0] || event.clientY !== this.#last[1]
    this.#last = [event.clientX, event.clientY]
    if (!this.#drawing && moved) this.#does.hover(this.#at(event))
    if (event.pointerId !== this.#drawing?.pointerId) return
    event.stopPropagation()
    // A fast hand is told of in bundles.
    const all = event.getCoalescedEvents?.() ?? []
    for (const one of all.length > 0 ? all : [event]) this.#does.draw(this.#at(one))
  }

  #lift(event: PointerEvent, done: boolean): void {
    this.#fingers.delete(event.pointerId)
    if (event.pointerId !== this.#drawing?.pointerId) return
    event.stopPropagation()
    this.#drawing = undefined
    if (done) this.#does.end()
    else this.#does.cancel()
  }

  /** A second finger: the first was no stroke, and what lies under the pad is told of it now. */
  #hand(): void {
    const first = this.#drawing
    if (first?.pointerType !== 'touch') return
    this.#drawing = undefined
    this.#does.cancel()
    const { pointerId, pointerType, clientX, clientY } = first
    const again = { pointerId, pointerType, clientX, clientY, button: PRIMARY, bubbles: true }
    this.#node.parentElement?.dispatchEvent(new PointerEvent('pointerdown', again))
  }

  #at(event: MouseEvent): Point {
    const { left, top } = this.#node.getBoundingClientRect()
    return [event.clientX - left, event.clientY - top]
  }
}
