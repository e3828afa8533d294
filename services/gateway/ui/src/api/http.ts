import { reason } from '../reason'
import { session } from '../state/session.svelte'
import { noConnection, problemOf } from './problem'

/** Sends a request with the bearer token; a refusal is thrown as a `Problem`. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const token = await session.token()
  const response = await send(path, token, init)
  if (response.status !== 401) return checked(response)
  // The server may have forgotten the token sooner than it said: once more, with a new one.
  return checked(await send(path, await session.renewed(token), init))
}

async function send(path: string, token: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers)
  headers.set('authorization', `Bearer ${token}`)
  // A header has no letters but those of ASCII.
  if (reason.text && !headers.has('medseg-reason')) headers.set('medseg-reason', encodeURIComponent(reason.text))
  try {
    return await fetch(path, { cache: 'no-store', ...init, headers })
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    throw noConnection()
  }
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response
  throw problemOf(response.status, await response.text().catch(() => ''))
}
