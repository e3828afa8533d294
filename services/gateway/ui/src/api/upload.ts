import { session } from '../state/session.svelte'
import { words } from '../words/table'
import { Problem, noConnection, problemOf } from './problem'
import type { Priority, Scan } from './scans'

/** Names one upload, so that sending it again cannot make a second scan. */
export function idempotencyKey(): string {
  // Not `randomUUID`: that is missing where the page is served without TLS.
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Whose scan it is, where its files do not say so themselves; empty where it is not said. */
export interface About {
  patient_id: string
  accession_number: string
  reference: string
}

/** What became of an upload: one scan, or several where the server saw that they are. */
export interface Accepted {
  scans: Scan[]
  /** Why some of its files are no scans. */
  refusals: Problem[]
}

/**
 * Sends the files of one scan, telling `sent` the share that has left (0 to 1).
 *
 * XMLHttpRequest, because `fetch` cannot say how far an upload is.
 */
export async function upload(
  files: readonly File[],
  key: string,
  priority: Priority,
  about: About,
  sent: (share: number) => void,
  signal: AbortSignal,
): Promise<Accepted> {
  const query = queryOf(priority, about)
  const token = await session.token()
  const answer = await send(files, key, query, token, sent, signal)
  if (answer.status !== 401) return accepted(answer)
  return accepted(await send(files, key, query, await session.renewed(token), sent, signal))
}

/** What an upload says beside its files. */
export function queryOf(priority: Priority, about: About): URLSearchParams {
  const said = Object.entries(about).filter(([, text]) => text !== '') as [string, string][]
  return new URLSearchParams([['priority', priority], ...said])
}

interface Reply {
  status: number
  body: string
}

function send(
  files: readonly File[],
  key: string,
  query: URLSearchParams,
  token: string,
  sent: (share: number) => void,
  signal: AbortSignal,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', `v1/scans?${query}`)
    request.setRequestHeader('authorization', `Bearer ${token}`)
    request.setRequestHeader('idempotency-key', key)
    const [file, ...others] = files
    const whole = others.length > 0 ? form(files) : (file ?? null)
    // The browser itself names a form's boundary.
    if (others.length === 0) request.setRequestHeader('content-type', 'application/octet-stream')
    request.upload.onprogress = (event) => sent(event.lengthComputable ? event.loaded / event.total : 0)
    request.upload.onload = () => sent(1)
    request.onload = () => resolve({ status: request.status, body: request.responseText })
    request.onerror = () => reject(noConnection())
    request.onabort = () => reject(noConnection())
    signal.throwIfAborted()
    signal.addEventListener('abort', () => request.abort(), { once: true })
    request.send(whole)
  })
}

// The server looks at the bytes, and at the order; the names of the files stay here, for they may name the patient.
function form(files: readonly File[]): FormData {
  const form = new FormData()
  files.forEach((file, index) => form.append('file', file, `slice-${index + 1}`))
  return form
}

interface Batch {
  entries: { scan: Scan | null; refusal: object | null }[]
}

function accepted({ status, body }: Reply): Accepted {
  if (status < 200 || status > 299) throw problemOf(status, body)
  try {
    const answer = JSON.parse(body) as Scan | Batch
    if (!('entries' in answer)) return { scans: [answer], refusals: [] }
    return {
      scans: answer.entries.flatMap(({ scan }) => scan ?? []),
      refusals: answer.entries.flatMap(({ refusal }) => (refusal ? problemOf(422, JSON.stringify(refusal)) : [])),
    }
  } catch {
    throw new Problem({ status, name: 'no-scan', title: words.problem.unread, detail: body.slice(0, 200) })
  }
}
