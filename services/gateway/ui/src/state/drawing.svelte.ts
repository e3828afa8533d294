import type { MaskFile, OwnMask } from '../api/masks'
import type { Finding } from '../api/result'
import { between } from '../between'
import { packed, unpackedBits } from '../bits'
import { BRUSHES, enclosed, indexOf, together, touched, voxelsOf, way, type Grid, type Tool, type Voxel } from '../drawing'
import { clamp } from '../viewing'

/** Steps that can be taken back, and how many voxels they may have changed in all: beyond it the oldest go. */
const STEPS_MOST = 200
const STEPPED_MOST = 16_000_000
/** Which brush a drawing begins with. */
const BEGUN_WITH = { mm: 4, px: 3 } as const

/** What a step has changed: each of these voxels was turned over, and these slices were drawn on for the first time. */
interface Step {
  turned: Uint32Array
  slices: readonly number[]
}

/** Why nothing was done. */
export type Nothing = 'open' | 'empty' | 'same' | 'alone' | 'last'

/** A drawing as it is kept. */
export interface KeptDrawing {
  bits: Uint8Array<ArrayBuffer>
  /** On which a hand has drawn. */
  slices: readonly number[]
}

/** The outline that a reader draws, begun with the result's own. */
export class Drawing {
  tool = $state<Tool>('brush')
  /** Whether tools reach through slices. */
  deep = $state(false)
  /** Whether pointer and keys draw. */
  active = $state(true)
  /** Why the last thing that was asked for did nothing. */
  nothing = $state<Nothing | undefined>()
  #brush = $state(0)
  /** Goes up with each change of a voxel. */
  #changes = $state(0)

  readonly grid: Grid
  readonly unit: 'mm' | 'px'
  readonly findings: readonly Finding[]
  readonly #own: OwnMask
  readonly #begun: Uint8Array<ArrayBuffer>
  readonly #regions = new Map<number, readonly number[]>()
  #marked: Uint8Array<ArrayBuffer>
  /** How many voxels are marked, and how many are other than they began: all of a volume are not counted at each touch. */
  #count = 0
  #differ = 0
  #steps: Step[] = []
  #undone: Step[] = []
  #slices = new Set<number>()
  #stroke: { turned: number[]; last: Voxel; erasing: boolean } | undefined

  /** Is told of each step that can be taken back. */
  stepped: () => void = () => undefined

  constructor(own: OwnMask, grid: Grid, unit: 'mm' | 'px', findings: readonly Finding[]) {
    this.#own = own
    this.grid = grid
    this.unit = unit
    this.findings = findings
    this.#brush = BEGUN_WITH[unit]
    this.#begun = new Uint8Array(own.labels.length)
    own.labels.forEach((label, at) => (this.#begun[at] = label === 0 ? 0 : 1))
    this.#marked = this.#begun.slice()
    this.#recount()
  }

  get diameter(): number {
    return BRUSHES[this.unit][this.#brush] ?? 1
  }

  resize(by: number): void {
    this.#brush = clamp(this.#brush + by, 0, BRUSHES[this.unit].length - 1)
  }

  /** What is marked in a slice, row by row. */
  slice(slice: number): Uint8Array {
    void this.#changes
    const length = this.grid.rows * this.grid.columns
    return this.#marked.subarray(slice * length, (slice + 1) * length)
  }

  /** Whether it is another than the result's own. */
  get changed(): boolean {
    void this.#changes
    return this.#differ > 0
  }

  get marks(): boolean {
    void this.#changes
    return this.#count > 0
  }

  /** Whether nothing is left of a finding; nothing where its voxels are not known. */
  gone(label: number): boolean | undefined {
    void this.#changes
    const region = this.#region(label)
    return region.length > 0 ? region.every((at) => this.#marked[at] === 0) : undefined
  }

  /** Puts down the brush, the eraser or the other tools. */
  begin(at: Voxel, erasing = this.tool === 'eraser'): Nothing | undefined {
    if (!erasing && (this.tool === 'fill' || this.tool === 'remove')) return this.#once(at)
    this.#stroke = { turned: [], last: at, erasing }
    this.#stamp(at)
    return undefined
  }

  /** Draws on, to another pixel of the same slice. */
  draw(to: Voxel): void {
    if (!this.#stroke) return
    way(this.#stroke.last, to).forEach((at) => this.#stamp(at))
    this.#stroke.last = to
  }

  /** Lifts it: from being put down to here it is one step. */
  end(): void {
    const stroke = this.#stroke
    this.#stroke = undefined
    if (stroke) this.#step(stroke.turned)
  }

  /** As if it had not been put down. */
  cancel(): void {
    if (this.#stroke) this.#turn(this.#stroke.turned)
    this.#stroke = undefined
  }

  /** Takes a finding out, or brings it back as the model outlined it. */
  toggle(label: number): void {
    this.end()
    const here = this.gone(label) ? 1 : 0
    this.#set(this.#region(label), here)
  }

  /** Puts what is marked in one slice into another. */
  copy(from: number, to: number): Nothing | undefined {
    this.end()
    if (to < 0 || to >= this.grid.slices) return 'last'
    const shape = this.slice(from).slice()
    return this.#shape(to, shape, [from, to]) ? undefined : 'same'
  }

  /** Draws what lies between a slice and the nearest that were drawn on, before and behind it. */
  bridge(slice: number): Nothing | undefined {
    this.end()
    const others = [...this.#slices].filter((other) => other !== slice)
    const ends = [Math.max(...others.filter((other) => other < slice)), Math.min(...others.filter((other) => other > slice))]
    const far = ends.filter((end) => Number.isFinite(end) && Math.abs(end - slice) > 1)
    if (far.length === 0) return 'alone'
    const shapes = far.filter((end) => this.slice(end).includes(1) && this.slice(slice).includes(1))
    if (shapes.length === 0) return 'empty'
    const turned = shapes.flatMap((end) => this.#bridged(slice, end))
    this.#turn(turned)
    return this.#step(turned, [slice]) ? undefined : 'same'
  }

  /** As the model outlined it. */
  reset(): void {
    this.end()
    this.#set(this.#differing(), undefined)
  }

  /** Nothing is marked any more. */
  clear(): void {
    this.end()
    this.#set(this.#all(1), 0)
  }

  undo(): boolean {
    this.cancel()
    return this.#back(this.#steps, this.#undone, (slice) => this.#slices.delete(slice))
  }

  redo(): boolean {
    this.cancel()
    return this.#back(this.#undone, this.#steps, (slice) => this.#slices.add(slice))
  }

  /** After another step, what was taken back is gone. */
  forgetUndone(): void {
    this.#undone = []
  }

  kept(): KeptDrawing {
    return { bits: packed(this.#marked), slices: [...this.#slices] }
  }

  /** Goes on with one that was kept; false where it is of another scan. */
  restore({ bits, slices }: KeptDrawing): boolean {
    const marked = unpackedBits(bits, this.#marked.length)
    if (!marked) return false
    this.#marked = marked
    this.#slices = new Set(slices)
    this.#recount()
    return true
  }

  file(): Promise<MaskFile> {
    return this.#own.file(this.#marked)
  }

  #once(at: Voxel): Nothing | undefined {
    const here = this.#marked[indexOf(this.grid, at)] === 1
    if (this.tool === 'remove') {
      if (!here) return 'empty'
      this.#set(together(this.#marked, this.grid, at, this.deep), 0)
      return undefined
    }
    if (here) return 'same'
    const hole = enclosed(this.#marked, this.grid, at, this.deep)
    if (!hole) return 'open'
    this.#set(hole, 1)
    return undefined
  }

  #stamp(at: Voxel): void {
    const stroke = this.#stroke
    if (!stroke) return
    const to = stroke.erasing ? 0 : 1
    const turned = touched(this.grid, at, this.diameter, this.deep).filter((index) => this.#marked[index] !== to)
    this.#turn(turned)
    for (const index of turned) stroke.turned.push(index)
  }

  /** One step that gives all of them the value; without one, that turns them over. */
  #set(indexes: readonly number[], value: 0 | 1 | undefined): void {
    const turned = value === undefined ? indexes : indexes.filter((at) => this.#marked[at] !== value)
    this.#turn(turned)
    this.#step(turned)
  }

  /** Whether that shape makes a difference to a slice. */
  #shape(slice: number, shape: Uint8Array, drawn: readonly number[]): boolean {
    const turned = this.#turnedBy(slice, shape)
    this.#turn(turned)
    return this.#step(turned, drawn)
  }

  #turnedBy(slice: number, shape: Uint8Array): number[] {
    const start = slice * shape.length
    const turned: number[] = []
    shape.forEach((here, at) => {
      if (here !== this.#marked[start + at]) turned.push(start + at)
    })
    return turned
  }

  #bridged(from: number, to: number): number[] {
    const [one, other] = [this.slice(from), this.slice(to)]
    const [, down, across] = this.grid.voxel
    const way = Math.sign(to - from)
    const turned: number[] = []
    for (let slice = from + way; slice !== to; slice += way) {
      const share = (slice - from) / (to - from)
      const shape = between(one, other, share, this.grid.columns, [down, across])
      for (const at of this.#turnedBy(slice, shape)) turned.push(at)
    }
    return turned
  }

  #region(label: number): readonly number[] {
    const known = this.#regions.get(label)
    if (known) return known
    const finding = this.findings.find((finding) => finding.label === label)
    const region = finding ? voxelsOf(this.#own.labels, this.grid, finding) : []
    this.#regions.set(label, region)
    return region
  }

  #differing(): number[] {
    const found: number[] = []
    this.#marked.forEach((here, at) => {
      if (here !== this.#begun[at]) found.push(at)
    })
    return found
  }

  #all(value: 0 | 1): number[] {
    const found: number[] = []
    this.#marked.forEach((here, at) => {
      if (here === value) found.push(at)
    })
    return found
  }

  #turn(indexes: Iterable<number>): void {
    for (const at of indexes) {
      const now = this.#marked[at] ? 0 : 1
      this.#marked[at] = now
      this.#count += now ? 1 : -1
      this.#differ += now === this.#begun[at] ? -1 : 1
    }
    this.#changes += 1
  }

  #recount(): void {
    this.#count = 0
    this.#differ = 0
    this.#marked.forEach((here, at) => {
      this.#count += here
      this.#differ += here === this.#begun[at] ? 0 : 1
    })
    this.#changes += 1
  }

  /** Whether there was anything to step. */
  #step(turned: readonly number[], drawn?: readonly number[]): boolean {
    if (turned.length === 0) return false
    this.nothing = undefined
    const length = this.grid.rows * this.grid.columns
    const slices = new Set(drawn ?? Array.from(turned, (at) => Math.floor(at / length)))
    const fresh = [...slices].filter((slice) => !this.#slices.has(slice))
    fresh.forEach((slice) => this.#slices.add(slice))
    this.#steps.push({ turned: Uint32Array.from(turned), slices: fresh })
    this.#undone = []
    this.#drop()
    this.stepped()
    return true
  }

  #drop(): void {
    let voxels = this.#steps.reduce((sum, { turned }) => sum + turned.length, 0)
    while (this.#steps.length > 1 && (this.#steps.length > STEPS_MOST || voxels > STEPPED_MOST)) {
      voxels -= this.#steps.shift()?.turned.length ?? 0
    }
  }

  #back(from: Step[], to: Step[], also: (slice: number) => void): boolean {
    const step = from.pop()
    if (!step) return false
    this.#turn(step.turned)
    step.slices.forEach(also)
    to.push(step)
    return true
  }
}
