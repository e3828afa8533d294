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
}

export interface QualityFigures {
  groups: QualityGroup[]
  /** What whoever reads the figures has to know. */
  remarks: string[]
}

export async function getQuality(by: QualityBy, period: Period, signal: AbortSignal): Promise<QualityFigures> {
  const query = new URLSearchParams({ by })
  const [from, to] = [beginOf(period), endOf(period)]
  if (from !== undefined) query.set('from', new Date(from).toISOString())
  if (to !== undefined) query.set('to', new Date(to).toISOString())
  return (await (await request(`v1/quality?${query}`, { signal })).json()) as QualityFigures
}
