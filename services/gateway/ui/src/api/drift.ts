import { beginOf, endOf, type Period } from '../period'
import { request } from './http'
import type { Answer } from './scans'
import type * as api from './types'

// As the description of the API has them; a field without a value is `null`.

/** In the order of gravity. */
export type DriftVerdict = api.Verdict

/** Shares of the training reference and of the window over the same bins. */
export interface Histogram {
  /** One more than there are bins. */
  edges: number[]
  reference: number[]
  window: number[]
  /** The window's shares beyond the outer edges. */
  below: number
  above: number
}

/** One feature of images or of answers. */
export interface DriftFeature {
  name: string
  verdict: DriftVerdict
  scans: number
  median: number | null
  reference_median: number | null
  psi: number | null
  ks_statistic: number | null
  ks_p_value: number | null
  histogram: Histogram | null
}

/** Percentiles, in milliseconds. */
export interface Times {
  p50: number
  p95: number
  p99: number
}

/** What models have seen and said in a window of time, beside what they were trained on. */
export interface DriftReport {
  id: string
  created_ms: number
  from_ms: number
  to_ms: number
  scans: number
  /** Whether older scans of the window were left out. */
  cut: boolean
  verdict: DriftVerdict
  answers: Partial<Record<Answer, number>>
  models: { name: string; version: string; sha256: string; scans: number }[]
  response_ms: Times | null
  features: DriftFeature[]
  thresholds: { scans_min: number; psi_watch: number; psi_drift: number; p_max: number }
}

/** Compares the scans of a period with what the model was trained on; the server keeps the report. */
export async function makeReport(period: Period): Promise<DriftReport> {
  // 0 is open at either end.
  const body = JSON.stringify({ from_ms: beginOf(period) ?? 0, to_ms: endOf(period) ?? 0 })
  const headers = { 'content-type': 'application/json', accept: 'application/json' }
  return (await (await request('v1/drift/reports', { method: 'POST', headers, body })).json()) as DriftReport
}

export async function getDriftReport(id: string, signal: AbortSignal): Promise<DriftReport> {
  const headers = { accept: 'application/json' }
  return (await (await request(`v1/drift/reports/${encodeURIComponent(id)}`, { headers, signal })).json()) as DriftReport
}
