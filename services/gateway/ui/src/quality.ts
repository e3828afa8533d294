import type { MeanDice, QualityBy, QualityGroup, Rate } from './api/quality'
import { periodIn, type Period } from './period'
import { count, decimal } from './units'
import { words } from './words'

export const QUALITY_BY = ['model', 'week', 'kind', 'size'] as const satisfies readonly QualityBy[]

/** What the page of quality is asked to show. */
export interface Asked {
  by: QualityBy
  period: Period
}

export function askedIn(query: string): Asked {
  const asked = new URLSearchParams(query)
  const by = QUALITY_BY.find((one) => one === asked.get('by')) ?? 'model'
  return { by, period: periodIn(asked) }
}

/** A value from 0 to 1 between its bounds, and what is said of it. */
export interface Estimate {
  value: number
  low: number
  high: number
  words: string
}

/** A rate with its interval and its counts; nothing where nothing was counted. */
export function rateOf(rate: Rate | null): Estimate | undefined {
  if (rate === null || rate.rate === null || rate.of === 0) return undefined
  const { low, high } = rate
  const value = rate.rate
  const interval = words.quality.interval(share(low), share(high))
  return { value, low, high, words: `${share(value)} (${interval}), ${words.quality.of(count(rate.count), count(rate.of))}` }
}

/** The mean overlap with its interval, over how many scans. */
export function diceOf(dice: MeanDice | null): Estimate | undefined {
  if (!dice || dice.count === 0) return undefined
  const { mean: value, low, high } = dice
  const interval = words.quality.interval(decimal(low, 2), decimal(high, 2))
  return { value, low, high, words: `${decimal(value, 2)} (${interval}), ${words.quality.ofScans(count(dice.count))}` }
}

/** The whole that a mean hides: how it is where there is something to overlap. */
export function diceNotEmptyOf(dice: MeanDice | null): string {
  if (!dice || dice.empty === 0) return ''
  const { mean_not_empty: mean, empty } = dice
  const others = mean === null ? words.quality.noOthers : words.quality.others(decimal(mean, 2))
  return `${words.quality.empty(count(empty))} ${others}`
}

/** What part of all scans was reviewed, as a sentence; each scan is in one group. */
export function reviewedOf(groups: readonly Pick<QualityGroup, 'scans' | 'reviewed'>[]): string {
  const scans = groups.reduce((sum, group) => sum + group.scans, 0)
  const reviewed = groups.reduce((sum, group) => sum + group.reviewed, 0)
  if (scans === 0) return words.quality.noScans
  return words.quality.reviewed(count(reviewed), count(scans), share(reviewed / scans))
}

/** One decimal, so that a rare thing is not called none. */
export function share(value: number): string {
  return `${decimal(100 * value, 1)} %`
}
