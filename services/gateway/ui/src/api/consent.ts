import { request } from './http'

/** Whether the hospital's confirmed scans may be learned from, as it has decided last. */
export interface Consent {
  /** Not as long as nobody has decided. */
  learning: boolean
  /** The user's name; nothing: nobody has decided. */
  decided_by: string | null
  /** As RFC 3339 writes it. */
  decided_at: string | null
}

export async function getConsent(signal: AbortSignal): Promise<Consent> {
  return (await (await request('v1/consent', { signal })).json()) as Consent
}

export async function setConsent(learning: boolean): Promise<Consent> {
  const headers = { 'content-type': 'application/json' }
  const response = await request('v1/consent', { method: 'PUT', headers, body: JSON.stringify({ learning }) })
  return (await response.json()) as Consent
}
