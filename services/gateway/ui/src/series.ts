import type { Scan } from './api/scans'

/** What became of a series: analysed as it came, only kept, or analysed because somebody asked for it. */
export type Fate = 'picked' | 'kept' | 'asked'

/** Nothing: it was compared with no other. */
export function fateOf({ series, state, attempt }: Pick<Scan, 'series' | 'state' | 'attempt'>): Fate | undefined {
  if (!series) return undefined
  if (series.picked) return 'picked'
  // A scan that was never tried and is done nevertheless was only kept.
  return state === 'done' && attempt === 0 ? 'kept' : 'asked'
}
