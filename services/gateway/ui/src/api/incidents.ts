import { request } from './http'

/** As many characters as one report may have. */
export const INCIDENT_CHARS_MAX = 4000

/** Reports that something went wrong: about that scan, or about the system where it is empty. */
export async function reportIncident(words: string, scan: string): Promise<void> {
  await request('v1/incidents', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ words, scan_id: scan || null }),
  })
}
