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
  /** Of embeddings alone, which have none of the numbers above; a server of the version before has none. */
  mmd2?: number | null
  mmd_p_value?: number | null
  /** Of how scans were taken alone: the share of scans beyond all that was trained on, and how improbable so many are. */
  beyond?: number | null
  beyond_p_value?: number | null
  histogram: Histogram | null
}

/** What verdicts follow from. */
export interface Thresholds {
  scans_min: number
  psi_watch: number
  psi_drift: number
  p_max: number
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
  thresholds: Thresholds
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

/** Scans of one model, kind of image, scanner and site, one after the other, beside what the model was trained on. */
export interface DriftWindow {
  id: string
  model: { name: string; version: string; sha256: string }
  /** `null`, as the scanner and the site: nobody says. */
  image_kind: string | null
  scanner: string | null
  site: string | null
  /** Among the windows of such scans, from 1. */
  number: number
  from: string | null
  to: string | null
  scans: number
  verdict: DriftVerdict
  /** From `drift.detected` until `drift.cleared`. */
  drifted: boolean
  features: DriftFeature[]
  thresholds: Thresholds
}

export interface DriftWindows {
  windows: DriftWindow[]
  next_cursor: string | null
}

/** A scan, and its part of the difference. */
export interface DriftCarrier {
  scan_id: string
  completed_at: string | null
  /** Of 1, over all scans of the window. */
  contribution: number
}

export interface DriftWindowInFull {
  window: DriftWindow
  /** The features that scans are looked at by. */
  carried_by: string[]
  /** The farthest first. */
  carriers: DriftCarrier[]
}

/** What scans are counted by. */
export interface DriftCategory {
  name: string
  counts: { value: string | null; a: number; b: number }[]
  psi: number | null
  chi_squared_p_value: number | null
}

/** How the second of two windows differs from the first. */
export interface DriftComparison {
  a: DriftWindow
  b: DriftWindow
  features: DriftFeature[]
  categories: DriftCategory[]
  thresholds: Thresholds
}

/** A page of windows, newest first; the first page without a cursor. */
export async function listDriftWindows(cursor: string, signal: AbortSignal): Promise<DriftWindows> {
  const asked = new URLSearchParams()
  if (cursor !== '') asked.set('cursor', cursor)
  return (await (await request(`v1/drift/windows?${asked}`, { signal })).json()) as DriftWindows
}

export async function getDriftWindow(id: string, signal: AbortSignal): Promise<DriftWindowInFull> {
  return (await (await request(`v1/drift/windows/${encodeURIComponent(id)}`, { signal })).json()) as DriftWindowInFull
}

export async function compareDriftWindows(a: string, b: string, signal: AbortSignal): Promise<DriftComparison> {
  const asked = new URLSearchParams({ a, b })
  return (await (await request(`v1/drift/compare?${asked}`, { signal })).json()) as DriftComparison
}
