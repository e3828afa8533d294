import { giveFeedback, type Feedback, type FindingVerdict } from '../api/feedback'
import { getOwnMask, type OwnMask } from '../api/masks'
import { asProblem, Problem } from '../api/problem'
import type { Finding, ImageFacts } from '../api/result'
import { idempotencyKey } from '../api/upload'
import { chosen, keptIn, NOTHING, saidIn, toggled, type Draft, type Drawn, type Kept } from '../draft'
import type { Grid } from '../drawing'
import { pixelOf } from '../geometry'
import { words } from '../words/table'
import { closeDrafts, draftsOf, dropDraft, keepDraft, nameOf, openDrafts, takeDraft, type KeptDraft } from './drafts'
import { Drawing } from './drawing.svelte'
import { Retry } from './retry'

const PREFIX = 'medseg.draft.'

/** A step of the timeline: what was said before it, or that it was one of the drawing's, or both. */
type Step = Draft | 'drawing' | { readonly drawnAfter: Draft }

/** What a drawing is made on. */
export interface Drawable {
  shape: Pick<Grid, 'slices' | 'rows' | 'columns'>
  image: ImageFacts
  findings: readonly Finding[]
}

/**
 * A verdict while it is made, kept until the server has it: what is said in the tab, what is drawn on the device.
 *
 * It is bound to its reader: whoever signs in after does not find it.
 */
export class Drafting {
  draft = $state.raw<Draft>(NOTHING)
  drawing = $state.raw<Drawing | undefined>()
  /** Whether the mask to draw on is on its way. */
  opening = $state(false)
  /** Why there is none to draw on. */
  unopened = $state('')
  /** What was drawn before and not sent. */
  offered = $state.raw<KeptDraft | undefined>()
  /** Whether this device does not keep what is drawn. */
  unkept = $state(false)
  sending = $state(false)
  problem = $state.raw<Problem | undefined>()
  #before = $state.raw<readonly Step[]>([])
  #after = $state.raw<readonly Step[]>([])

  readonly #scan: string
  readonly #reader: string
  #key = idempotencyKey()
  /** Names what the device keeps: of each tab its own. */
  #id = idempotencyKey()
  /** What the last change was about: letters of one note are one step. */
  #topic = ''
  /** What the device is told is told in turn. */
  #telling: Promise<void> = Promise.resolve()
  #due = false
  readonly #retry = new Retry()
  /** Then whoever comes back sends it. */
  #left = false

  /** Is told of the word that was given, also where it was sent again by itself. */
  given: (feedback: Feedback) => void = () => undefined

  constructor(scan: string, reader: string) {
    this.#scan = scan
    this.#reader = reader
    const kept = keptIn(sessionStorage.getItem(PREFIX + scan), reader)
    if (!kept) return
    this.draft = kept.draft
    this.#key = kept.key
  }

  get undoable(): boolean {
    return this.#before.length > 0
  }

  get redoable(): boolean {
    return this.#after.length > 0
  }

  /** The outline as it goes with a correction; nothing where none is drawn that is another than the result's. */
  get drawn(): Drawn | undefined {
    const { drawing } = this
    return this.draft.verdict === 'correct' && drawing?.changed ? { marks: drawing.marks } : undefined
  }

  /** The draft, with what the drawing says of findings: one of which nothing is left in it is none. */
  get said(): Draft {
    return { ...this.draft, rejected: this.rejected }
  }

  get rejected(): readonly number[] {
    const { drawing, draft } = this
    if (!drawing || draft.verdict !== 'correct') return draft.rejected
    return drawing.findings.map(({ label }) => label).filter((label) => drawing.gone(label) ?? draft.rejected.includes(label))
  }

  change(draft: Draft, topic = ''): void {
    if (this.sending) return
    if (topic === '' || topic !== this.#topic) this.#step(this.draft)
    this.#set(draft, topic)
  }

  /** Says of a finding that it is none, or takes that back: where there is a drawing, in it. */
  toggle(label: number): void {
    const drawn = this.draft.verdict === 'correct' && this.drawing?.gone(label) !== undefined
    if (drawn && !this.sending) this.drawing?.toggle(label)
    else this.change(toggled(this.draft, label))
  }

  /** Says of a finding what it is: that it is none, or one after all, in the drawing where there is one. */
  judge(label: number, verdict: FindingVerdict['verdict']): void {
    if (this.sending) return
    const drawn = this.draft.verdict === 'correct' && this.drawing?.gone(label) !== undefined
    const turns = drawn && this.rejected.includes(label) !== (verdict === 'reject')
    if (turns) this.drawing?.toggle(label)
    this.change(chosen(this.draft, label, verdict))
    if (turns) this.#join()
  }

  undo(): void {
    ;[this.#before, this.#after] = this.#moved(this.#before, this.#after, (drawing) => drawing.undo())
  }

  redo(): void {
    ;[this.#after, this.#before] = this.#moved(this.#after, this.#before, (drawing) => drawing.redo())
  }

  /** Begins to draw, on the result's own mask, or goes on. */
  async draw(on: Drawable): Promise<void> {
    if (this.drawing) this.drawing.active = true
    else await this.#open(on)
  }

  /** Whether something was drawn here that was not sent. */
  async look(): Promise<void> {
    const kept = await draftsOf(this.#reader, this.#scan).catch(() => [])
    this.offered = kept.find(({ id }) => id !== this.#id)
    // What was sent with a drawing, and is now said without, is another word.
    if (!this.drawing && this.offered?.key === this.#key) this.#key = idempotencyKey()
  }

  /** Goes on with what is offered. */
  async take(on: Drawable): Promise<void> {
    const offered = this.offered
    // What is being drawn would be lost: it is offered again after.
    if (!offered || this.sending || this.drawing) return
    const own = await this.#own(on)
    const kept = own && (await takeDraft(offered.id, this.#id).catch(() => undefined))
    if (!own) return
    if (!kept) return this.look()
    const drawing = this.#drawingOn(own, on)
    if (!drawing.restore(kept.drawing)) {
      await dropDraft(this.#id).catch(() => undefined)
      return this.look()
    }
    this.drawing = drawing
    // What the tab says beside it may be newer, and can be had back.
    if (this.draft !== NOTHING && JSON.stringify(this.draft) !== JSON.stringify(kept.draft)) this.#step(this.draft)
    this.#set({ ...NOTHING, ...kept.draft, verdict: 'correct' }, '')
    // It may be with the server already, whose answer was lost.
    if (kept.draft.verdict === 'correct') this.#key = kept.key
    this.#keep()
    await this.look()
  }

  /** Forgets what is offered. */
  async refuse(): Promise<void> {
    const offered = this.offered
    this.offered = undefined
    if (offered) await dropDraft(offered.id).catch(() => undefined)
    await this.look()
  }

  /** Sends it; where it cannot be sent it stays a draft, and is sent again once there is a connection. */
  async send(findings: readonly Pick<Finding, 'label'>[]): Promise<void> {
    const [drawn, drawing] = [this.drawn, this.drawing]
    const said = saidIn(this.said, findings, drawn)
    if (!said || this.sending) return
    this.#retry.rest()
    drawing?.end()
    this.sending = true
    this.problem = undefined
    try {
      const mask = drawn ? await drawing?.file() : undefined
      const given = await giveFeedback(this.#scan, said, this.#key, mask)
      this.#forget()
      this.given(given)
    } catch (cause) {
      this.problem = asProblem(cause)
      if (this.problem.transient && !this.#left) this.#retry.later(() => void this.send(findings))
    } finally {
      this.sending = false
    }
  }

  /** To be told when its page is left: what is kept stays. */
  leave(): void {
    this.#left = true
    this.#retry.rest()
    this.given = () => undefined
  }

  async #open(on: Drawable): Promise<void> {
    const own = await this.#own(on)
    if (!own || this.drawing) return
    const drawing = this.#drawingOn(own, on)
    this.drawing = drawing
    // What is said to be none already is taken out, as steps that can be taken back.
    this.draft.rejected.filter((label) => drawing.gone(label) === false).forEach((label) => drawing.toggle(label))
  }

  async #own({ shape, image }: Drawable): Promise<OwnMask | undefined> {
    if (this.opening) return undefined
    this.opening = true
    this.unopened = ''
    try {
      return await getOwnMask(this.#scan, shape, image)
    } catch (cause) {
      this.unopened = cause instanceof Problem ? `${cause.title}. ${cause.detail}` : words.drawing.unread
      return undefined
    } finally {
      this.opening = false
    }
  }

  #drawingOn(own: OwnMask, { shape, image, findings }: Drawable): Drawing {
    const [down, across] = pixelOf(image)
    const { spacing_mm: spacing } = image
    const known = Boolean(spacing?.[1] && spacing[2])
    // How far slices are apart a file may not say where it says how large pixels are.
    const grid: Grid = { ...shape, voxel: [(known && spacing?.[0]) || down, down, across] }
    const drawing = new Drawing(own, grid, known ? 'mm' : 'px', findings)
    drawing.stepped = () => this.#drew()
    return drawing
  }

  #drew(): void {
    this.#step('drawing')
    this.#renew('')
  }

  #step(step: Step): void {
    this.#before = [...this.#before, step]
    this.#after = []
    if (step !== 'drawing') this.drawing?.forgetUndone()
  }

  /** Makes one step of the last two, what was drawn and what was said of it: whoever takes it back takes back both. */
  #join(): void {
    const [drawn, said] = this.#before.slice(-2)
    if (drawn !== 'drawing' || !said || said === 'drawing' || 'drawnAfter' in said) return
    this.#before = [...this.#before.slice(0, -2), { drawnAfter: said }]
  }

  /** The two ends of the timeline after one step along it. */
  #moved(from: readonly Step[], to: readonly Step[], turn: (drawing: Drawing) => boolean): [readonly Step[], readonly Step[]] {
    if (this.sending) return [from, to]
    let rest = from
    for (let step = rest.at(-1); step !== undefined; step = rest.at(-1)) {
      rest = rest.slice(0, -1)
      const isDrawn = step === 'drawing' || 'drawnAfter' in step
      // The oldest steps of a drawing go where there are many: then there is nothing to turn.
      const turned = isDrawn && this.drawing !== undefined && turn(this.drawing)
      if (step !== 'drawing') {
        const now = this.draft
        this.#set('drawnAfter' in step ? step.drawnAfter : step, '')
        return [rest, [...to, turned ? { drawnAfter: now } : now]]
      }
      if (turned) {
        this.#renew('')
        return [rest, [...to, step]]
      }
    }
    return [rest, to]
  }

  #set(draft: Draft, topic: string): void {
    this.draft = draft
    this.#renew(topic)
  }

  #renew(topic: string): void {
    this.problem = undefined
    this.#topic = topic
    this.#retry.rest()
    // A key belongs to what was sent under it.
    this.#key = idempotencyKey()
    this.#keep()
  }

  #keep(): void {
    const kept: Kept = { reader: this.#reader, key: this.#key, draft: this.draft }
    sessionStorage.setItem(PREFIX + this.#scan, JSON.stringify(kept))
    if (!this.drawing || this.#due) return
    this.#due = true
    this.#tell(async () => {
      this.#due = false
      if (this.drawing) await keepDraft(this.#record(this.drawing))
    })
  }

  #record(drawing: Drawing): KeptDraft {
    return {
      id: this.#id,
      reader: nameOf(this.#reader),
      scan: this.#scan,
      saved_ms: Date.now(),
      key: this.#key,
      draft: this.draft,
      drawing: drawing.kept(),
    }
  }

  #tell(what: () => Promise<void>): void {
    this.#telling = this.#telling.then(what).then(
      () => void (this.unkept = false),
      () => void (this.unkept = true),
    )
  }

  #forget(): void {
    sessionStorage.removeItem(PREFIX + this.#scan)
    const id = this.#id
    if (this.drawing) this.#tell(() => dropDraft(id))
    this.draft = NOTHING
    this.drawing = undefined
    this.#before = []
    this.#after = []
    this.#topic = ''
    this.#key = idempotencyKey()
    this.#id = idempotencyKey()
    this.#retry.over()
  }
}

/** Takes up a reader's drafts, and forgets what others have left in the tab. */
export function beginDrafts(reader: string): void {
  forgetInTab(reader)
  // A device that keeps nothing has nothing to forget.
  void openDrafts(reader, Date.now()).catch(() => undefined)
}

/** Forgets all drafts in the tab, and those that this reader has on the device. */
export function forgetDrafts(reader: string): void {
  forgetInTab()
  void closeDrafts(reader).catch(() => undefined)
}

function forgetInTab(reader?: string): void {
  const isOwn = (name: string) => reader !== undefined && keptIn(sessionStorage.getItem(name), reader) !== undefined
  Object.keys(sessionStorage)
    .filter((name) => name.startsWith(PREFIX) && !isOwn(name))
    .forEach((name) => sessionStorage.removeItem(name))
}
