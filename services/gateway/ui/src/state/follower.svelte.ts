import { opposite, type Pair } from '../compare'
import { Reading } from './reading.svelte'

/** How a scan is looked at that stands beside another one: it goes where that one goes, in mm, as long as both are linked. */
export class Follower extends Reading {
  linked = $state(true)
  /** Whether the distance of slices is known in both. */
  readonly linkable: boolean

  readonly #leader: Reading
  readonly #slice_mm: Pair
  #pair = $state.raw<Pair>([0, 0])

  /** `slice_mm`: from slice to slice, of the leader and of this one; nothing where that is not known. */
  constructor(shape: readonly number[], leader: Reading, slice_mm: Pair | undefined) {
    super(shape)
    this.#leader = leader
    this.linkable = slice_mm !== undefined
    this.#slice_mm = slice_mm ?? [1, 1]
    this.linked = this.linkable
    // Middle beside middle, until the reader knows better.
    this.#pair = [Math.floor(leader.slices / 2), this.slice]
    this.follow(leader.slice)
  }

  /** What lies opposite now stays opposite. */
  link(linked: boolean): void {
    this.#pair = [this.#leader.slice, this.slice]
    this.linked = linked && this.linkable
  }

  /** Goes where the leader has gone. */
  follow(slice: number): void {
    if (this.linked) super.go(opposite(slice, this.#pair, ...this.#slice_mm))
  }

  override scroll(by: number): void {
    if (!this.linked) return super.scroll(by)
    // At least one slice, however thin the leader's are.
    const [leader_mm, own_mm] = this.#slice_mm
    const slices = Math.round((by * own_mm) / leader_mm)
    this.#leader.scroll(slices === 0 ? Math.sign(by) : slices)
  }
}
