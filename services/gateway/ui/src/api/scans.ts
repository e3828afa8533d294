import type { ARTEFACTS } from './artefacts'
import type { Filter } from '../filter'
import { request } from './http'
import type { ResultDocument } from './result'
import type * as api from './types'
import type { Written } from './written'

export type { Answer, Priority, State } from './types'

/** A scan as the gateway describes it. */
export type Scan = Written<
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
>

export interface ScanPage extends Written<api.Scans, 'next_cursor'> {
  scans: Scan[]
}

/** Those that are pictures. */
export type Artefact = Extract<(typeof ARTEFACTS)[number], { media_type: 'image/png' }>['name']

export async function listScans(cursor: string, limit: number, filter: Exclude<Filter, { by: 'review' }>): Promise<ScanPage> {
  const { by, ...asked } = filter
  const query = new URLSearchParams({ limit: String(limit), ...asked })
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
