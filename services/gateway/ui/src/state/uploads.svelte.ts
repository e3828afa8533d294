import { asProblem, type Problem } from '../api/problem'
import { Resumable, Stopped, forget, leftBehind, type LeftBehind } from '../api/resumable'
import type { Priority, Scan } from '../api/scans'
import { idempotencyKey, upload, type About, type Accepted } from '../api/upload'
import type { FoundScan } from '../grouping'
import { packed } from '../pack'
import { words } from '../words/table'
import { scans } from './scans.svelte'

/** Two at a time: while one is checked, the next one travels. */
const AT_ONCE = 2

const NOBODY: About = { patient_id: '', accession_number: '', reference: '' }

/** What is smaller is sent again as fast as it is asked how much of it had come. */
const WORTH_RESUMING_BYTES = 1024 * 1024
/** How long a lost line is left alone, and how often a server that fails is asked again before the reader is. */
const PAUSE_MS = 1000
const PAUSE_MAX_MS = 20_000
const FAILURES_MAX = 20

export type Phase = 'waiting' | 'preparing' | 'sending' | 'checking' | 'interrupted' | 'paused' | 'accepted' | 'refused'

const ENDED: readonly Phase[] = ['accepted', 'refused']

/** The files of one scan on their way to become it. */
export class Upload {
  readonly key = idempotencyKey()
  readonly files: readonly File[]
  /** What it is, as in `one series, MR, 24 slices`. */
  readonly words: string
  readonly priority: Priority
  readonly about: About
  /** How the page calls it: a file's name may name the patient, so it is shown only on demand. */
  readonly number: number

  phase = $state<Phase>('waiting')
  sent = $state(0)
  scan = $state.raw<Scan | undefined>()
  /** All that it has become, where the server saw several. */
  scans = $state.raw<readonly Scan[]>([])
  problem = $state.raw<Problem | undefined>()

  #leaving = new AbortController()
  #resumable: Resumable | undefined
  /** Goes on with what is paused. */
  #goOn: () => void = () => undefined
  #failures = 0

  constructor({ files, words }: FoundScan, priority: Priority, about: About, number: number) {
    this.files = files
    this.words = words
    this.priority = priority
    this.about = about
    this.number = number
  }

  get kind(): string {
    if (this.files.length > 1) return this.words
    return /\.(nii\.gz|[a-z0-9]{1,5})$/i.exec(this.names)?.[1]?.toUpperCase() ?? words.sending.file
  }

  get bytes(): number {
    return this.files.reduce((sum, { size }) => sum + size, 0)
  }

  /** Of the first and the last file. */
  get names(): string {
    const [first, last] = [this.files[0]?.name ?? '', this.files.at(-1)?.name ?? '']
    return this.files.length > 1 ? `${first} … ${last}` : first
  }

  async send(): Promise<void> {
    if (this.#leaving.signal.aborted) return
    this.phase = 'sending'
    this.problem = undefined
    this.#failures = 0
    try {
      const accepted = this.isResumable ? await this.#sendInParts() : await this.#sendAtOnce()
      accepted.scans.forEach((scan) => scans.remember(scan))
      this.scan = accepted.scans[0]
      this.scans = accepted.scans
      this.problem = accepted.refusals[0]
      this.phase = this.scan ? 'accepted' : 'refused'
    } catch (cause) {
      if (this.#leaving.signal.aborted) return
      this.problem = asProblem(cause)
      this.phase = 'refused'
    }
  }

  /** Whether it goes on where it is interrupted. */
  get isResumable(): boolean {
    return this.bytes >= WORTH_RESUMING_BYTES
  }

  get ended(): boolean {
    return ENDED.includes(this.phase)
  }

  pause(): void {
    this.#resumable?.pause()
  }

  resume(): void {
    this.#goOn()
  }

  abort(): void {
    this.#leaving.abort()
    this.#resumable?.pause()
    this.#goOn()
  }

  #sendAtOnce(): Promise<Accepted> {
    const sent = (share: number) => this.#progress(share)
    return upload(this.files, this.key, this.priority, this.about, sent, this.#leaving.signal)
  }

  async #sendInParts(): Promise<Accepted> {
    this.phase = 'preparing'
    const sent = (share: number) => this.#progress(share)
    const resumable = (this.#resumable ??= await Resumable.of(await packed(this.files), this.priority, this.about, sent))
    for (;;) {
      this.#leaving.signal.throwIfAborted()
      try {
        this.phase = 'sending'
        return await resumable.start()
      } catch (cause) {
        if (cause instanceof Stopped) await this.#paused()
        else {
          const problem = asProblem(cause)
          // Too many are unfinished: nothing forbids to send it in one piece.
          if (problem.status === 429 && !resumable.begun) return this.#sendAtOnce()
          await this.#interrupted(problem, resumable)
        }
      }
    }
  }

  /** Waits until the reader goes on. */
  async #paused(): Promise<void> {
    this.phase = 'paused'
    await new Promise<void>((resolve) => (this.#goOn = resolve))
  }

  /** Waits for the line, longer each time; what will not pass is thrown. */
  async #interrupted(problem: Problem, resumable: Resumable): Promise<void> {
    // That the server has other bytes than was thought is told when it is asked.
    const passes = problem.transient || problem.status === 409
    if (!passes) resumable.forget()
    if (!passes || (problem.status !== 0 && this.#failures >= FAILURES_MAX)) throw problem
    this.phase = 'interrupted'
    await lineOr(Math.min(PAUSE_MS * 2 ** this.#failures, PAUSE_MAX_MS), (goOn) => (this.#goOn = goOn))
    this.#failures += 1
  }

  #progress(share: number): void {
    if (share > this.sent) this.#failures = 0
    this.sent = share
    this.phase = share < 1 ? 'sending' : 'checking'
  }
}

/** Until so much time has passed, the browser has its line again, or `goOn` is called. */
function lineOr(ms: number, told: (goOn: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const goOn = () => {
      clearTimeout(timer)
      window.removeEventListener('online', goOn)
      resolve()
    }
    const timer = window.setTimeout(goOn, ms)
    window.addEventListener('online', goOn)
    told(goOn)
  })
}

class Uploads {
  list = $state<Upload[]>([])
  /** What this reader has begun in this browser before, and not ended. */
  left = $state.raw<readonly LeftBehind[]>([])
  /** Whether what is sent next goes before all that is routine. Off again once such files are accepted, so that urgent stays rare. */
  urgent = $state(false)
  /** Whose scan it is that is sent next. Forgotten with the sending: the next one may be another patient's. */
  about = $state<About>({ ...NOBODY })
  #count = 0

  get busy(): boolean {
    return this.list.some(({ ended }) => !ended)
  }

  /** What came of the files, in a sentence. */
  get summary(): string {
    const refused = this.list.filter(({ phase }) => phase === 'refused').length
    const accepted = this.list.length - refused
    return refused === 0 ? words.sending.accepted(accepted) : words.sending.partly(accepted, refused)
  }

  /** Sends what was found, each scan by itself; resolves when each is accepted or refused. */
  async add(found: readonly FoundScan[]): Promise<Upload[]> {
    const priority = this.urgent ? 'stat' : 'routine'
    const { patient_id, accession_number, reference } = this.about
    const about = { patient_id: patient_id.trim(), accession_number: accession_number.trim(), reference: reference.trim() }
    this.about = { ...NOBODY }
    if (!this.busy) this.#forget()
    const added = found.map((scan) => new Upload(scan, priority, about, ++this.#count))
    this.list.push(...added)
    const queue = [...added]
    const lane = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) await next.send()
    }
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
    this.look()
    if (priority === 'stat' && added.every(({ phase }) => phase === 'accepted')) this.urgent = false
    return added
  }

  /** Looks for what a reload or a closed page has interrupted. */
  look(): void {
    this.left = leftBehind()
  }

  async forgetLeft(): Promise<void> {
    const { left } = this
    this.left = []
    await forget(left)
  }

  clear(): void {
    this.left = []
    this.#forget()
    this.urgent = false
    this.about = { ...NOBODY }
  }

  #forget(): void {
    this.list.forEach((upload) => upload.abort())
    this.list = []
    this.#count = 0
  }
}

export const uploads = new Uploads()
