import type { DetailedError, Upload as Tus, UploadOptions } from 'tus-js-client'
import { shortOf, type Content } from '../pack'
import { session } from '../state/session.svelte'
import { request } from './http'
import { Problem, noConnection, problemOf } from './problem'
import type { Priority, Scan } from './scans'
import { queryOf, type About, type Accepted } from './upload'

/** What the client of tus puts before the names of what it keeps. */
const KEPT = 'tus::'
/** The server forgets what nobody has gone on with for a day. */
const LIFETIME_MS = 24 * 3_600_000
/** Sent in one request: so what is told of the way travelled has arrived, and no proxy waits for a whole volume. */
const CHUNK_BYTES = 1024 * 1024

/** Thrown by a sending that was told to stop. */
export class Stopped extends Error {}

/** An upload that goes on where it was interrupted: by a lost line, a reload, or a closed page. */
export class Resumable {
  readonly #tus: Tus
  #stop: () => void = () => undefined

  private constructor(tus: Tus) {
    this.#tus = tus
  }

  /**
   * The content as an upload, or what is left to send of it where this browser has begun with it before. `sent` hears the share
   * that the server has, 0 to 1.
   *
   * Kept in the browser are the upload's address, its size and when it began, under a name made of checksums; no file's name and
   * nothing of its bytes.
   */
  static async of(content: Content, priority: Priority, about: About, sent: (share: number) => void): Promise<Resumable> {
    const { Upload } = await import('tus-js-client')
    const query = queryOf(priority, about)
    query.set('contents', content.several ? 'files' : 'file')
    // A zip may be a whole study.
    query.set('series', 'fitting')
    const name = `${ownPrefix()}${shortOf(`${query} ${content.sums}`)}`
    const options: UploadOptions = {
      endpoint: new URL(`v1/uploads?${query}`, document.baseURI).href,
      fingerprint: async () => name,
      removeFingerprintOnSuccess: true,
      chunkSize: CHUNK_BYTES,
      retryDelays: null,
      onBeforeRequest: async (asked) => asked.setHeader('authorization', `Bearer ${await session.token()}`),
      onProgress: (bytes, all) => sent(all > 0 ? bytes / all : 0),
    }
    // What is sent are blobs, which a browser reads as it does files.
    const tus = new Upload(content.blob, options)
    const [before] = (await tus.findPreviousUploads()).filter(isAlive)
    if (before) tus.resumeFromPreviousUpload(before)
    return new Resumable(tus)
  }

  /** Whether the server knows of it. */
  get begun(): boolean {
    return this.#tus.url !== null
  }

  /** Sends what is left; what has become of it is told once the server has looked at it. */
  async start(): Promise<Accepted> {
    await new Promise<void>((resolve, reject) => {
      this.#stop = () => reject(new Stopped())
      this.#tus.options.onSuccess = () => resolve()
      this.#tus.options.onError = (error) => reject(asRefusal(error))
      this.#tus.start()
    })
    return this.#outcome()
  }

  /** Stops sending; what has come stays. */
  pause(): void {
    void this.#tus.abort()
    this.#stop()
  }

  /** Forgets it, here and at the server. What cannot be deleted now expires by itself. */
  forget(): void {
    void this.#tus.abort(true).catch(() => undefined)
  }

  async #outcome(): Promise<Accepted> {
    const id = this.#tus.url?.split('/').at(-1) ?? ''
    const { scan, batch, refusal } = (await (await request(`v1/uploads/${id}`)).json()) as Told
    const entries = batch?.entries ?? [{ scan, refusal }]
    return {
      scans: entries.flatMap((entry) => entry.scan ?? []),
      refusals: entries.flatMap((entry) => (entry.refusal ? problemOf(422, JSON.stringify(entry.refusal)) : [])),
    }
  }
}

interface Entry {
  scan: Scan | null
  refusal: object | null
}

interface Told extends Entry {
  batch: { entries: Entry[] } | null
}

function isAlive({ creationTime }: { creationTime: string }): boolean {
  return Date.now() - Date.parse(creationTime) < LIFETIME_MS
}

/** Under which the uploads of whoever is signed in are kept: another reader is told of none. */
function ownPrefix(): string {
  return `medseg.${shortOf(session.userName)}.`
}

function asRefusal(error: Error | DetailedError): Problem {
  const response = 'originalResponse' in error ? error.originalResponse : null
  return response ? problemOf(response.getStatus(), response.getBody()) : noConnection()
}

/** An upload that this reader has begun here and not ended. */
export interface LeftBehind {
  key: string
  url: string
  bytes: number
}

/** What is left of uploads that a reload or a closed page has interrupted; what has expired is forgotten. */
export function leftBehind(): LeftBehind[] {
  const left: LeftBehind[] = []
  for (const key of Object.keys(localStorage).filter((key) => key.startsWith(KEPT))) {
    const { size, creationTime, uploadUrl } = kept(key)
    if (!isAlive({ creationTime: creationTime ?? '' })) localStorage.removeItem(key)
    else if (uploadUrl && key.startsWith(KEPT + ownPrefix())) left.push({ key, url: uploadUrl, bytes: size ?? 0 })
  }
  return left
}

/** Forgets them, here and at the server. */
export async function forget(left: readonly LeftBehind[]): Promise<void> {
  for (const { key, url } of left) {
    localStorage.removeItem(key)
    const id = url.split('/').at(-1) ?? ''
    // What cannot be deleted now expires by itself.
    await request(`v1/uploads/${id}`, { method: 'DELETE', headers: { 'tus-resumable': '1.0.0' } }).catch(() => undefined)
  }
}

function kept(key: string): { size?: number; creationTime?: string; uploadUrl?: string } {
  try {
    return JSON.parse(localStorage.getItem(key) ?? '{}') ?? {}
  } catch {
    return {}
  }
}
