import { request } from './http'

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
