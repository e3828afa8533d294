import { beginOf, endOf, type Period } from '../period'
import { request } from './http'
import type * as api from './types'

// As the description of the API has them; a field without a value is `null`.

/** What the scans of a group have in common. */
export type QualityBy = api.QualityBy

/** How often something happened, of how often it could have, with its 95 % interval. */
export interface Rate {
  /** Nothing where it never could have. */
  rate: number | null
  low: number
  high: number
  count: number
  of: number
}

/** The mean over scans, with its 95 % interval. */
export interface MeanDice {
  mean: number
  low: number
  high: number
  /** Scans of which it is the mean. */
  count: number
  /** Of them, those that are empty in both masks: they count 1. */
  empty: number
  /** Of all others; nothing where there are none. */
  mean_not_empty: number | null
}

export interface QualityGroup {
  name: string
  scans: number
  reviewed: number
  disputed: number
  dice: MeanDice | null
  /** Found, of all scans without a tumour. */
  far: Rate | null
  /** None found, of all scans with one. */
  frr: Rate | null
  agree: Rate
  slices: Slices | null
  weighted: Weighted | null
  expected_dice: ExpectedDice | null
  /** Percentiles over all scans, answered or not. */
  response_ms: Times | null
  /** Scans without an answer, by why. */
  refusals: Readonly<Record<string, number>>
  /** Files that were refused at the door, by the problem's name. */
  refused_uploads: Readonly<Record<string, number>>
  /** Of one model's scans only. */
  alarm: Alarm | null
}

/** The same rates over slices. */
export interface Slices {
  far: Rate | null
  frr: Rate | null
  scans: number
}

/** A rate in which each reviewed scan stands for those like it. */
export interface WeightedRate {
  rate: number
  low: number
  high: number
  /** How many scans of equal weight would say as much. */
  effective: number
}

export interface Weighted {
  far: WeightedRate | null
  frr: WeightedRate | null
  agree: WeightedRate | null
  dice: { mean: number; low: number; high: number } | null
  /** The part of all scans that are like one that was reviewed. */
  covered: number
}

/** What the model expects of its own masks, beside what readers have measured. */
export interface ExpectedDice {
  expected: number | null
  observed: number | null
  count: number
  all: number
  all_count: number
}

export interface Times {
  scans: number
  p50: number
  p95: number
  p99: number
}

/** Whether confirmed errors speak against their bound. */
export interface Alarm {
  error_max: number
  budget_scans: number
  of: number
  errors: number
  peak: number
  stands: boolean
}

/** What a remark is about, and the number of scans that it names. */
export interface RemarkKind {
  name: string
  scans: number | null
}

export interface QualityFigures {
  groups: QualityGroup[]
  /** What whoever reads the figures has to know. */
  remarks: string[]
  /** What each of them is about; a server of the version before does not say. */
  remark_kinds?: RemarkKind[]
  /** Of all groups, and of none. */
  refused_uploads: Readonly<Record<string, number>>
  /** Why readers do not agree, by the reason's name: with results, and with single findings. */
  reasons: Readonly<Record<string, number>>
  finding_reasons: Readonly<Record<string, number>>
}

/** What was measured of a model on data whose truth is known. */
export interface OfflineEvaluation {
  id: string
  evaluated_at: string | null
  model: { name: string; version: string; sha256: string }
  data_version: string
  /** By patient. */
  dice: MeanDice | null
  /** By slice, as the next. */
  far: Rate
  frr: Rate
}

/** The newest evaluations that were reported, newest first. */
export async function listEvaluations(signal: AbortSignal): Promise<OfflineEvaluation[]> {
  const answer = await request('v1/evaluations?limit=200', { signal })
  return ((await answer.json()) as { evaluations: OfflineEvaluation[] }).evaluations
}

export async function getQuality(by: QualityBy, period: Period, signal: AbortSignal): Promise<QualityFigures> {
  const query = new URLSearchParams({ by })
  const [from, to] = [beginOf(period), endOf(period)]
  if (from !== undefined) query.set('from', new Date(from).toISOString())
  if (to !== undefined) query.set('to', new Date(to).toISOString())
  return (await (await request(`v1/quality?${query}`, { signal })).json()) as QualityFigures
}
