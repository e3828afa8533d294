import type {
  Alarm,
  ExpectedDice,
  MeanDice,
  OfflineEvaluation,
  QualityBy,
  QualityFigures,
  QualityGroup,
  Rate,
  RemarkKind,
  Times,
  Weighted,
  WeightedRate,
} from './api/quality'
import { periodIn, type Period } from './period'
import type { Figure } from './api/models'
import { count, decimal, figures, moments, seconds } from './units'
import { sentence, words } from './words'

export const QUALITY_BY = ['model', 'week', 'kind', 'size', 'site', 'scanner'] as const satisfies readonly QualityBy[]

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

/** What a group is called: by what somebody has written, as a site, it is called so; by words of the server's, in the reader's. */
export function groupName(by: QualityBy, name: string): string {
  const { kinds, sizes } = words.quality
  const names: Readonly<Record<string, string>> = by === 'kind' ? kinds : by === 'size' ? sizes : { unknown: kinds.unknown }
  return names[name] ?? name
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

/** What a rate is when each reviewed scan stands for those like it; nothing where nothing is known. */
export function weightedOf(rate: WeightedRate | null | undefined): string {
  if (!rate) return ''
  return words.quality.weighted(share(rate.rate), words.quality.interval(share(rate.low), share(rate.high)))
}

/** The same of the mean overlap. */
export function weightedDiceOf(weighted: Weighted | null): string {
  if (!weighted?.dice) return ''
  const { mean, low, high } = weighted.dice
  return words.quality.weighted(decimal(mean, 2), words.quality.interval(decimal(low, 2), decimal(high, 2)))
}

/** A rate over slices, with its counts; nothing where no word tells. */
export function slicesOf(rate: Rate | null | undefined): string {
  const estimate = rateOf(rate ?? null)
  return estimate ? words.quality.slices(estimate.words) : ''
}

/** The overlap that the model expects of its masks, beside what readers have measured of the same. */
export function expectedOf(dice: ExpectedDice | null): string {
  if (!dice) return ''
  const all = words.quality.expected(decimal(dice.all, 2), count(dice.all_count))
  if (dice.expected === null || dice.observed === null) return all
  return `${all} ${words.quality.beside(decimal(dice.expected, 2), decimal(dice.observed, 2), count(dice.count))}`
}

/** Of what part of all scans anything is known by weight; nothing where nothing was reviewed. */
export function coveredOf(groups: readonly Pick<QualityGroup, 'scans' | 'weighted'>[]): string {
  const scans = groups.reduce((sum, group) => sum + group.scans, 0)
  const covered = groups.reduce((sum, group) => sum + (group.weighted?.covered ?? 0) * group.scans, 0)
  return covered > 0 ? words.quality.covered(share(covered / scans)) : ''
}

/** How long it took until an answer, or until it was known that there is none. */
export function timesOf(times: Times | null): string {
  if (!times) return ''
  return words.quality.times(seconds(times.p50), seconds(times.p95), seconds(times.p99))
}

/** How many scans have no answer, and why; those of a later version's reasons by their own name. */
export function refusalsOf(refusals: Readonly<Record<string, number>>): string[] {
  const names: Readonly<Record<string, string>> = words.quality.refusals
  return Object.entries(refusals)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([why, scans]) => `${names[why] ?? why}: ${count(scans)}`)
}

/** How many files were refused at the door, and why; those of a later version's problems by their own name. */
export function refusedOf(refused: Readonly<Record<string, number>>): string[] {
  const names: Readonly<Record<string, string>> = words.quality.problems
  return Object.entries(refused)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([problem, files]) => `${names[problem] ?? problem}: ${count(files)}`)
}

/** How often readers say why they do not agree; those of a later version's reasons by their own name. */
export function reasonsOf(reasons: Readonly<Record<string, number>>): string[] {
  const names: Readonly<Record<string, string>> = words.verdict.reasons
  return Object.entries(reasons)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([reason, given]) => `${names[reason] ?? reason}: ${count(given)}`)
}

/** What a model's confirmed answers come to beside the bound. */
export function alarmOf(name: string, alarm: Alarm | null): string {
  if (!alarm || alarm.of === 0) return ''
  const { errors, of, error_max, budget_scans, peak, stands } = alarm
  const told = words.quality.wrong(name, count(errors), count(of), share(error_max))
  return `${told} ${stands ? words.quality.alarm(count(budget_scans)) : words.quality.calm(figures(peak), count(budget_scans))}`
}

/** The overlap that was measured offline. */
export function offlineOf(dice: Figure | undefined, gateSet: string): string {
  if (!dice) return ''
  const { value, low, high } = dice
  return words.quality.offline(decimal(value, 3), words.quality.interval(decimal(low, 3), decimal(high, 3)), gateSet)
}

/** A rate that was measured offline, where slices are counted, and not scans. */
export function offlineRateOf(rate: Figure | undefined, gateSet: string): string {
  if (!rate) return ''
  const { value, low, high } = rate
  return words.quality.offlineSlices(share(value), words.quality.interval(share(low), share(high)), gateSet)
}

/** The newest evaluation of the model of that name and version, of those that stand newest first. */
export function evaluationOf(evaluations: readonly OfflineEvaluation[], name: string): OfflineEvaluation | undefined {
  return evaluations.find(({ model }) => `${model.name}/${model.version}` === name)
}

/** Of which data an evaluation is, and when it was reported. */
function setOf({ data_version, evaluated_at }: OfflineEvaluation): string {
  const at = evaluated_at === null ? '' : moments(Date.parse(evaluated_at))
  return words.quality.keptSet(data_version.slice(0, 8), at)
}

/** The mean overlap by patient on a kept set, over how many, and how it is where there is something to overlap; nothing where it was not measured. */
export function keptDiceOf(evaluation: OfflineEvaluation | undefined): string {
  if (!evaluation?.dice) return ''
  const { mean, low, high, count: patients } = evaluation.dice
  const told = words.quality.keptDice(decimal(mean, 3), words.quality.interval(decimal(low, 3), decimal(high, 3)), count(patients), setOf(evaluation))
  return [told, diceNotEmptyOf(evaluation.dice)].filter(Boolean).join(' ')
}

/** A rate by slice on a kept set; nothing where it was not measured. */
export function keptRateOf(evaluation: OfflineEvaluation | undefined, of: 'far' | 'frr'): string {
  const estimate = evaluation && rateOf(evaluation[of])
  return evaluation && estimate ? words.quality.keptSlices(estimate.words, setOf(evaluation)) : ''
}

/** What has to be known of the figures. */
export interface Remark {
  words: string
  /** The server's own words, which are English: of a kind that this page does not know. */
  foreign: boolean
}

/** The remarks in the reader's words. */
export function remarksOf(by: QualityBy, { remarks, remark_kinds, groups }: Pick<QualityFigures, 'remarks' | 'remark_kinds' | 'groups'>): Remark[] {
  return remarks.map((remark, at) => {
    const kind = remark_kinds?.[at]
    const own = kind ? remarkOf(kind, by, groups) : undefined
    return own === undefined ? { words: sentence(remark), foreign: true } : { words: own, foreign: false }
  })
}

function remarkOf({ name, scans }: RemarkKind, by: QualityBy, groups: readonly QualityGroup[]): string | undefined {
  const { remarkKinds, fewReviewed, hiddenFromReaders } = words.quality
  const fewest = scans ?? 0
  if (name === 'hidden_from_readers') return hiddenFromReaders(count(fewest))
  if (name !== 'few_reviewed') return (remarkKinds as Readonly<Record<string, string>>)[name]
  // A group of files that were refused has no scans.
  const few = groups.filter((group) => group.scans > 0 && group.reviewed < fewest)
  return few.length === 0 ? undefined : fewReviewed(count(fewest), few.map((group) => `${groupName(by, group.name)} (${count(group.reviewed)})`).join(', '))
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
