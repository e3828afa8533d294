import { giveFeedback, type Feedback } from '../api/feedback'
import { asProblem, type Problem } from '../api/problem'
import type { Finding } from '../api/result'
import { idempotencyKey } from '../api/upload'
import { keptIn, NOTHING, saidIn, type Draft, type Kept } from '../draft'

const PREFIX = 'medseg.draft.'

/**
 * A verdict while it is made, kept in the tab until the server has it.
 *
 * It is bound to its reader: whoever signs in after does not find it.
 */
export class Drafting {
  draft = $state.raw<Draft>(NOTHING)
  sending = $state(false)
  problem = $state.raw<Problem | undefined>()
  #before = $state.raw<readonly Draft[]>([])

  readonly #scan: string
  readonly #reader: string
  #key = idempotencyKey()
  /** What the last change was about: letters of one note are one step. */
  #topic = ''

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

  change(draft: Draft, topic = ''): void {
    if (this.sending) return
    if (topic === '' || topic !== this.#topic) this.#before = [...this.#before, this.draft]
    this.#set(draft, topic)
  }

  undo(): void {
    const last = this.#before.at(-1)
    if (!last || this.sending) return
    this.#before = this.#before.slice(0, -1)
    this.#set(last, '')
  }

  /** Sends it; what was said, or nothing where it could not be sent and stays a draft. */
  async send(findings: readonly Pick<Finding, 'label'>[]): Promise<Feedback | undefined> {
    const said = saidIn(this.draft, findings)
    if (!said || this.sending) return undefined
    this.sending = true
    this.problem = undefined
    try {
      const given = await giveFeedback(this.#scan, said, this.#key)
      this.#forget()
      return given
    } catch (cause) {
      this.problem = asProblem(cause)
      return undefined
    } finally {
      this.sending = false
    }
  }

  #set(draft: Draft, topic: string): void {
    this.draft = draft
    this.problem = undefined
    this.#topic = topic
    // A key belongs to what was sent under it.
    this.#key = idempotencyKey()
    const kept: Kept = { reader: this.#reader, key: this.#key, draft }
    sessionStorage.setItem(PREFIX + this.#scan, JSON.stringify(kept))
  }

  #forget(): void {
    sessionStorage.removeItem(PREFIX + this.#scan)
    this.draft = NOTHING
    this.#before = []
    this.#topic = ''
    this.#key = idempotencyKey()
  }
}

/** Forgets all drafts but those of that reader. */
export function forgetDrafts(reader?: string): void {
  const isOwn = (name: string) => reader !== undefined && keptIn(sessionStorage.getItem(name), reader) !== undefined
  Object.keys(sessionStorage)
    .filter((name) => name.startsWith(PREFIX) && !isOwn(name))
    .forEach((name) => sessionStorage.removeItem(name))
}
