import { request } from './http'
import type { ResultDocument } from './result'

export type Answer = 'found' | 'none_found' | 'not_analysable' | 'failed'
/** DICOM's words: `stat` goes before everything that is `routine`. */
export type Priority = 'stat' | 'routine'
export type State = 'queued' | 'running' | 'done'

/** A scan as the gateway describes it. */
export interface Scan {
  id: string
  state: State
  priority: Priority
  answer: Answer | null
  reason: string | null
  accepted_ms: number
  completed_ms: number | null
  format: string
  modality: string | null
  /** Slices, rows, columns. */
  shape: number[]
}

export interface ScanPage {
  scans: Scan[]
  next_cursor: string | null
}

export type Artefact = 'image.png' | 'overlay.png' | 'mask.png'

export async function listScans(cursor: string, limit: number): Promise<ScanPage> {
  const query = new URLSearchParams({ limit: String(limit) })
  if (cursor) query.set('cursor', cursor)
  return json(await request(`v1/scans?${query}`))
}

export async function getScan(id: string, signal?: AbortSignal): Promise<Scan> {
  return json(await request(pathOf(id), signal ? { signal } : {}))
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

async function json<T>(response: Response): Promise<T> {
  return (await response.json()) as T
}
