import { session } from '../state/session.svelte'
import { Problem, noConnection, problemOf } from './problem'
import type { Priority, Scan } from './scans'

/** Names one upload, so that sending it again cannot make a second scan. */
export function idempotencyKey(): string {
  // Not `randomUUID`: that is missing where the page is served without TLS.
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Sends one file as one scan, telling `sent` the share that has left (0 to 1).
 *
 * XMLHttpRequest, because `fetch` cannot say how far an upload is.
 */
export async function upload(
  file: File,
  key: string,
  priority: Priority,
  sent: (share: number) => void,
  signal: AbortSignal,
): Promise<Scan> {
  const token = await session.token()
  const answer = await send(file, key, priority, token, sent, signal)
  if (answer.status !== 401) return accepted(answer)
  return accepted(await send(file, key, priority, await session.renewed(token), sent, signal))
}

interface Reply {
  status: number
  body: string
}

function send(
  file: File,
  key: string,
  priority: Priority,
  token: string,
  sent: (share: number) => void,
  signal: AbortSignal,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', `v1/scans?priority=${priority}`)
    request.setRequestHeader('authorization', `Bearer ${token}`)
    request.setRequestHeader('idempotency-key', key)
    // The server looks at the bytes; the name of the file stays here, for it may name the patient.
    request.setRequestHeader('content-type', 'application/octet-stream')
    request.upload.onprogress = (event) => sent(event.lengthComputable ? event.loaded / event.total : 0)
    request.upload.onload = () => sent(1)
    request.onload = () => resolve({ status: request.status, body: request.responseText })
    request.onerror = () => reject(noConnection())
    request.onabort = () => reject(noConnection())
    signal.throwIfAborted()
    signal.addEventListener('abort', () => request.abort(), { once: true })
    request.send(file)
  })
}

function accepted({ status, body }: Reply): Scan {
  if (status < 200 || status > 299) throw problemOf(status, body)
  try {
    return JSON.parse(body) as Scan
  } catch {
    throw new Problem({ status, name: 'no-scan', title: 'The server’s answer could not be read', detail: body.slice(0, 200) })
  }
}
