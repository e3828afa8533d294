import { asProblem, type Problem } from '../api/problem'
import type { Priority, Scan } from '../api/scans'
import { idempotencyKey, upload } from '../api/upload'
import { scans } from './scans.svelte'

/** Two at a time: while one is checked, the next one travels. */
const AT_ONCE = 2

export type Phase = 'waiting' | 'sending' | 'checking' | 'accepted' | 'refused'

/** One file on its way to become one scan. */
export class Upload {
  readonly key = idempotencyKey()
  readonly file: File
  readonly priority: Priority
  /** How the page calls the file: its name may name the patient, so it is shown only on demand. */
  readonly number: number

  phase = $state<Phase>('waiting')
  sent = $state(0)
  scan = $state.raw<Scan | undefined>()
  problem = $state.raw<Problem | undefined>()

  #leaving = new AbortController()

  constructor(file: File, priority: Priority, number: number) {
    this.file = file
    this.priority = priority
    this.number = number
  }

  get kind(): string {
    return /\.(nii\.gz|[a-z0-9]{1,5})$/i.exec(this.file.name)?.[1]?.toUpperCase() ?? 'file'
  }

  async send(): Promise<void> {
    if (this.#leaving.signal.aborted) return
    this.phase = 'sending'
    this.problem = undefined
    try {
      const sent = (share: number) => this.#progress(share)
      this.scan = await upload(this.file, this.key, this.priority, sent, this.#leaving.signal)
      this.phase = 'accepted'
      scans.remember(this.scan)
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
  #count = 0

  get busy(): boolean {
    return this.list.some(({ phase }) => phase === 'waiting' || phase === 'sending' || phase === 'checking')
  }

  /** What came of the files, in a sentence. */
  get summary(): string {
    const refused = this.list.filter(({ phase }) => phase === 'refused').length
    const accepted = this.list.length - refused
    if (refused === 0) return accepted === 1 ? 'Scan accepted' : `${accepted} scans accepted`
    return `${accepted} accepted, ${refused} not accepted`
  }

  /** Sends files, each as a scan of its own; resolves when each is accepted or refused. */
  async add(files: readonly File[]): Promise<Upload[]> {
    const priority = this.urgent ? 'stat' : 'routine'
    if (!this.busy) this.#forget()
    const added = files.map((file) => new Upload(file, priority, ++this.#count))
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
  }

  #forget(): void {
    this.list.forEach((upload) => upload.abort())
    this.list = []
    this.#count = 0
  }
}

export const uploads = new Uploads()
