import type { ARTEFACTS } from './artefacts'
import { askedOf, type Filter } from '../filter'
import { request } from './http'
import type { ResultDocument } from './result'
import type * as api from './types'
import type { Written } from './written'

export type { Answer, Priority, State } from './types'

/** A scan as the gateway describes it. */
export interface Scan
  extends Written<
    api.Scan,
    | 'id'
    | 'state'
    | 'priority'
    | 'answer'
    | 'reason'
    | 'accepted_ms'
    | 'completed_ms'
    | 'format'
    | 'modality'
    | 'shape'
    | 'attempt'
    | 'series'
  > {
  /** What its study is called, for those who may know; the same for all scans of it, and nobody's number. */
  study: string | null
  /** The batch that it came in. */
  batch: string | null
  /** Where it was made, as its upload says. */
  site: string | null
  /** Of its main findings together; nothing where none was found, or none is known. */
  volume_ml: number | null
}

export interface ScanPage extends Written<api.Scans, 'next_cursor'> {
  scans: Scan[]
}

/** Those that are pictures. */
export type Artefact = Extract<(typeof ARTEFACTS)[number], { media_type: 'image/png' }>['name']

export async function listScans(cursor: string, limit: number, filter: Filter): Promise<ScanPage> {
  const query = new URLSearchParams({ limit: String(limit), ...askedOf(filter) })
  if (cursor) query.set('cursor', cursor)
  return json(await request(`v1/scans?${query}`))
}

/** By what a scan is found, by those who may know whose it is. */
export const NAMED = ['reference', 'patient_id', 'accession_number'] as const

/** How many are asked for by what they are called. */
const NAMED_MOST = 50

/** The newest scans that are called exactly so, among those that are listed. */
export async function findScans(by: (typeof NAMED)[number], name: string, filter: Filter): Promise<ScanPage> {
  return json(await request(`v1/scans?${new URLSearchParams({ limit: String(NAMED_MOST), ...askedOf(filter), [by]: name })}`))
}

export async function getScan(id: string, signal?: AbortSignal): Promise<Scan> {
  return json(await request(pathOf(id), signal ? { signal } : {}))
}

/** A waiting scan, sooner or in its turn. */
export async function prioritise(id: string, priority: api.Priority): Promise<Scan> {
  const headers = { 'content-type': 'application/json' }
  return json(await request(pathOf(id), { method: 'PATCH', headers, body: JSON.stringify({ priority }) }))
}

/** A scan that there is no answer for, anew. */
export async function retryScan(id: string): Promise<Scan> {
  return json(await request(`${pathOf(id)}/retry`, { method: 'POST' }))
}

export async function deleteScan(id: string): Promise<void> {
  await request(pathOf(id), { method: 'DELETE' })
}

/** One slice, small; what the browser has of it is shown only if its reader may still see it. */
export async function getThumbnail(id: string): Promise<Blob> {
  return (await request(`${pathOf(id)}/thumbnail.png`, { cache: 'default' })).blob()
}

export async function getResult(id: string): Promise<ResultDocument> {
  return json(await request(`${pathOf(id)}/result`))
}

/** An image's bytes; `<img src>` alone could not send the token. */
export async function getArtefact(id: string, name: Artefact): Promise<Blob> {
  return (await request(`${pathOf(id)}/${name}`)).blob()
}

export function pathOf(id: string): string {
  return `v1/scans/${encodeURIComponent(id)}`
}

/** The scan that an event tells of; nothing: it tells of none. */
export function scanIn(data: string): Scan | undefined {
  try {
    const value: unknown = JSON.parse(data)
    const isScan = value !== null && typeof value === 'object' && 'id' in value && 'state' in value
    return isScan ? (value as Scan) : undefined
  } catch {
    return undefined
  }
}

async function json<T>(response: Response): Promise<T> {
  return (await response.json()) as T
}
