import { request } from './http'

/** When a hospital takes no more answers of a model. */
export interface StopRule {
  /** The part of confirmed answers that may be wrong. */
  error_max: number
  budget_scans: number
  decided_by: string | null
  /** As RFC 3339 writes it. */
  decided_at: string | null
}

/** The last that became of a model that was stopped. */
export interface ModelStop {
  name: string
  version: string
  stands: boolean
  reason: string
  /** The user's name; nothing: it stands. */
  lifted_by: string | null
  /** As RFC 3339 writes it. */
  at: string | null
}

export interface StopState {
  /** Nothing: no model is stopped by itself. */
  rule: StopRule | null
  stops: ModelStop[]
}

export async function getStops(signal: AbortSignal): Promise<StopState> {
  return (await (await request('v1/stops', { signal })).json()) as StopState
}

export function setStopRule(errorMax: number, budgetScans: number): Promise<StopState> {
  return told('v1/stops', 'PUT', { error_max: errorMax, budget_scans: budgetScans })
}

export function liftStop({ name, version }: ModelStop, reason: string): Promise<StopState> {
  return told('v1/stops/lift', 'POST', { name, version, reason })
}

async function told(path: string, method: string, body: unknown): Promise<StopState> {
  const headers = { 'content-type': 'application/json' }
  const response = await request(path, { method, headers, body: JSON.stringify(body) })
  return (await response.json()) as StopState
}
