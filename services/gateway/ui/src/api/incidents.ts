import { request } from './http'
import { got, sent } from './json'

/** As many characters as one report may have. */
export const INCIDENT_CHARS_MAX = 4000

/** Reports that something went wrong: about that scan, or about the system where it is empty; in a patient's words or in one's own. */
export async function reportIncident(words: string, scan: string, fromPatient: boolean): Promise<void> {
  await request('v1/incidents', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ words, scan_id: scan || null, from_patient: fromPatient }),
  })
}

/** Something that somebody has reported. */
export interface Incident {
  id: string
  /** As RFC 3339 writes it. */
  reported_at: string | null
  reporter: string
  words: string
  /** Nothing: it is about the system. */
  scan_id: string | null
  /** Whether it is what a patient said. */
  from_patient: boolean
  /** Whether the patient wrote it, through a link that the reporter had made. */
  by_link: boolean
}

/** A link through which a patient says what went wrong. */
export interface IncidentLink {
  id: string
  /** On this server. */
  path: string
  /** As RFC 3339 writes it. */
  expires_at: string | null
}

/** Makes a link for a patient: about that scan, or about the system where it is empty. */
export async function makeIncidentLink(scan: string): Promise<IncidentLink> {
  const answer = await request('v1/incident-links', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ scan_id: scan || null }),
  })
  return (await answer.json()) as IncidentLink
}

/** A link that is valid; where it leads was told once. */
export interface MadeLink {
  id: string
  /** Nothing: it is about the system. */
  scan_id: string | null
  /** The user's name. */
  maker: string
  /** As RFC 3339 writes it. */
  made_at: string | null
  expires_at: string | null
}

/** All that are valid, the newest first: one's own, and for administrators those of the hospital. */
export async function listIncidentLinks(): Promise<readonly MadeLink[]> {
  const all: MadeLink[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const query: string = new URLSearchParams({ limit: '200', ...(cursor ? { cursor } : {}) }).toString()
    const page: { links: MadeLink[]; next_cursor: string | null } = await got(`v1/incident-links?${query}`)
    all.push(...page.links)
    cursor = page.next_cursor
  }
  return all
}

/** Nobody writes through it any more; what was written stays. */
export function revokeIncidentLink(id: string): Promise<void> {
  return sent('DELETE', `v1/incident-links/${encodeURIComponent(id)}`)
}

export interface IncidentPage {
  /** The newest first. */
  incidents: Incident[]
  next_cursor: string | null
}

export async function listIncidents(cursor: string, limit: number): Promise<IncidentPage> {
  const query = new URLSearchParams({ limit: String(limit) })
  if (cursor) query.set('cursor', cursor)
  return (await (await request(`v1/incidents?${query}`)).json()) as IncidentPage
}
