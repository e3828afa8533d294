import type { Finding } from '../api/result'
import { clamp, FITTED, type Look, type Measure, type Window } from '../viewing'

/** A pixel of a slice. */
export interface Spot {
  row: number
  column: number
}

/** How somebody looks at a scan. */
export class Reading {
  /** From 0. */
  slice = $state(0)
  look = $state.raw<Look>(FITTED)
  /** What the reader wants to see it by; nothing: the scan's own. */
  window = $state.raw<Window | undefined>()
  inverted = $state(false)
  outlined = $state(true)
  /** Of the outline, in parts of 1. */
  opacity = $state(1)
  measured = $state(false)
  /** Whether a click says that something was missed there. */
  marking = $state(false)
  /** Whether an outline is being drawn. */
  drawing = $state(false)
  /** Whether a drag measures, and what was measured. */
  measuring = $state(false)
  measures = $state.raw<readonly Measure[]>([])
  /** Whether the reader wants to look at it in three planes. */
  planes = $state(false)
  /** Of the stage that it is looked at on, in pixels of the screen; 0: none yet. */
  height = $state(0)
  /** Where the keyboard marks. */
  cursor = $state.raw<Spot>({ row: 0, column: 0 })

  /** Whether the reader has chosen a slice. */
  #chosen = false

  readonly slices: number
  readonly rows: number
  readonly columns: number

  constructor(shape: readonly number[]) {
    const [slices = 1, rows = 1, columns = 1] = shape
    this.slices = slices
    this.rows = rows
    this.columns = columns
    this.slice = Math.floor(slices / 2)
    this.cursor = { row: Math.floor(rows / 2), column: Math.floor(columns / 2) }
  }

  /** Begins at a slice, unless the reader is on the way already. */
  begin(slice: number): void {
    if (!this.#chosen) this.slice = this.#within(slice)
  }

  go(slice: number): void {
    this.#chosen = true
    this.slice = this.#within(slice)
  }

  scroll(by: number): void {
    this.go(this.slice + by)
  }

  /** Whether the three planes are shown: an outline is drawn in a slice. */
  get inPlanes(): boolean {
    return this.planes && !this.drawing
  }

  /** Whether something can be marked now: that is done in a slice, too. */
  get marks(): boolean {
    return this.marking && !this.inPlanes
  }

  /** Shows a finding where it is largest. */
  show({ slice }: Pick<Finding, 'slice'>): void {
    this.go(slice)
  }

  move(rows: number, columns: number): void {
    const { row, column } = this.cursor
    this.cursor = { row: clamp(row + rows, 0, this.rows - 1), column: clamp(column + columns, 0, this.columns - 1) }
  }

  #within(slice: number): number {
    return clamp(Math.round(slice), 0, this.slices - 1)
  }
}
