import { asProblem, type Problem } from '../api/problem'
import type { Priority, Scan } from '../api/scans'
import { idempotencyKey, upload, type About } from '../api/upload'
import type { FoundScan } from '../grouping'
import { words } from '../words/table'
import { scans } from './scans.svelte'

/** Two at a time: while one is checked, the next one travels. */
const AT_ONCE = 2

const NOBODY: About = { patient_id: '', accession_number: '', reference: '' }

export type Phase = 'waiting' | 'sending' | 'checking' | 'accepted' | 'refused'

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
  problem = $state.raw<Problem | undefined>()

  #leaving = new AbortController()

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
    try {
      const sent = (share: number) => this.#progress(share)
      const accepted = await upload(this.files, this.key, this.priority, this.about, sent, this.#leaving.signal)
      accepted.scans.forEach((scan) => scans.remember(scan))
      this.scan = accepted.scans[0]
      this.problem = accepted.refusals[0]
      this.phase = this.scan ? 'accepted' : 'refused'
    } catch (cause) {
      if (this.#leaving.signal.aborted) return
      this.problem = asProblem(cause)
      this.phase = 'refused'
    }
  }

  abort(): void {
    this.#leaving.abort()
  }

  #progress(share: number): void {
    this.sent = share
    this.phase = share < 1 ? 'sending' : 'checking'
  }
}

class Uploads {
  list = $state<Upload[]>([])
  /** Whether what is sent next goes before all that is routine. Off again once such files are accepted, so that urgent stays rare. */
  urgent = $state(false)
  /** Whose scan it is that is sent next. Forgotten with the sending: the next one may be another patient's. */
  about = $state<About>({ ...NOBODY })
  #count = 0

  get busy(): boolean {
    return this.list.some(({ phase }) => phase === 'waiting' || phase === 'sending' || phase === 'checking')
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
    if (priority === 'stat' && added.every(({ phase }) => phase === 'accepted')) this.urgent = false
    return added
  }

  clear(): void {
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
