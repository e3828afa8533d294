import { got, sent } from './json'
import type { SeriesPreference } from './types'

export type { SeriesPreference, SeriesReason } from './types'

export const PREFERENCES = ['prefer', 'never'] as const satisfies readonly SeriesPreference[]

/** A hospital's own word about series whose description contains a text. */
export interface SeriesRule {
  id: string
  contains: string
  preference: SeriesPreference
  /** Nothing: of every site. */
  site: string | null
  /** The user's name. */
  decided_by: string
  /** As RFC 3339 writes it. */
  decided_at: string | null
}

/** Oldest first. */
export async function listSeriesRules(): Promise<readonly SeriesRule[]> {
  return (await got<{ rules: SeriesRule[] }>('v1/series-rules')).rules
}

/** Without a site, it is about series of every site. */
export function addSeriesRule(contains: string, preference: SeriesPreference, site: string): Promise<SeriesRule> {
  return sent('POST', 'v1/series-rules', { contains, preference, ...(site ? { site } : {}) })
}

export function removeSeriesRule(id: string): Promise<void> {
  return sent('DELETE', `v1/series-rules/${encodeURIComponent(id)}`)
}
