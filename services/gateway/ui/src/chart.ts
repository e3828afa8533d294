import type { DriftFeature, DriftWindow, Histogram, Thresholds } from './api/drift'
import type { Version } from './api/models'
import type { QualityBy, QualityGroup } from './api/quality'
import { distance, featureName, three, windowTimes } from './drift'
import { diceOf, groupName, rateOf, share, type Estimate } from './quality'
import { decimal } from './units'
import { words } from './words/table'

/** What a plot shows. It is also a table: a row for each place along x, a column for each series. */
export interface Chart {
  /** What it is, in words. */
  label: string
  across: {
    /** With the unit. */
    name: string
    /** What stands at 0, 1, 2 and so on. */
    rows: readonly string[]
    /** What is written under the axis; places between the rows are fractions. */
    ticks: readonly { at: number; text: string }[]
  }
  up: { name: string; top: number; written: (value: number) => string }
  series: readonly Series[]
  /** Values that verdicts change at. */
  bounds: readonly { at: number; name: string }[]
  /** Rows that were announced. */
  alarms: readonly number[]
  /** The row that is looked at. */
  here?: number
}

/** `low` and `high` are the ends of one band. */
export type Drawn = 'bars' | 'outlines' | 'line' | 'points' | 'low' | 'high'

export interface Series {
  name: string
  drawn: Drawn
  values: readonly (number | null)[]
}

const says = words.plots
/** An axis that ends lower would make much of nothing. */
const SHARE_LEAST = 0.01
const DISTANCE_LEAST = 0.25

/** A value of a chart's table. */
export function written({ up }: Chart, value: number | null | undefined): string {
  return value == null ? says.none : up.written(value)
}

/** A row as a sentence, of these values: those of the chart, or those that were plotted. */
export function saidOf(chart: Chart, row: number, values = chart.series.map(({ values }) => values[row] ?? null)): string {
  const figures = chart.series.map(({ name }, series) => `${name} ${written(chart, values[series])}`)
  return `${chart.across.rows[row] ?? ''}: ${figures.join(', ')}`
}

/** Shares of training and window over the same bins, with one more at each end for what lies beyond them. */
export function histogramOf({ name }: DriftFeature, { edges, reference, window, below, above }: Histogram): Chart {
  const bins = [0, ...reference, 0]
  const shares = [below, ...window, above]
  const between = edges.slice(1).map((edge, bin) => says.between(three(edges[bin] ?? null), three(edge)))
  const scales: Readonly<Record<string, string>> = says.scales
  return {
    label: says.histogram(featureName(name)),
    across: {
      name: [featureName(name), scales[name]].filter(Boolean).join(', '),
      rows: [says.below(three(edges[0] ?? null)), ...between, says.above(three(edges.at(-1) ?? null))],
      ticks: edges.map((edge, bin) => ({ at: bin + 0.5, text: three(edge) })),
    },
    up: { name: says.shares, top: Math.max(SHARE_LEAST, ...bins, ...shares), written: share },
    series: [
      { name: words.drift.reference, drawn: 'bars', values: bins },
      { name: words.drift.window, drawn: 'outlines', values: shares },
    ],
    bounds: [],
    alarms: [],
  }
}

/** How far a feature is from the training, window by window; windows in which it was not measured are not in it. */
export function trendOf(windows: readonly DriftWindow[], name: string, here: string): Chart {
  const seen = windows.flatMap((window) => {
    const feature = window.features.find((feature) => feature.name === name)
    const value = feature ? distance(feature) : null
    return feature && value !== null ? [{ window, feature, value: Math.max(0, value) }] : []
  })
  const last = seen.at(-1)
  const byShare = typeof last?.feature.beyond === 'number'
  const byIndex = last !== undefined && last.feature.psi !== null && !byShare
  const bounds = byIndex ? boundsOf(last.window.thresholds) : []
  const measure = byShare ? says.beyond : byIndex ? says.index : says.discrepancy
  const found = seen.findIndex(({ window }) => window.id === here)
  return {
    label: says.trend(featureName(name)),
    across: {
      name: says.windows,
      rows: seen.map(({ window }) => says.window(String(window.number), windowTimes(window))),
      ticks: seen.map(({ window }, at) => ({ at, text: String(window.number) })),
    },
    up: {
      name: measure,
      // With room over the highest for the marks.
      top: 1.1 * Math.max(DISTANCE_LEAST, ...seen.map(({ value }) => value)),
      written: three,
    },
    series: [{ name: measure, drawn: 'line', values: seen.map(({ value }) => value) }],
    bounds,
    alarms: seen.flatMap(({ window }, at) => (window.drifted ? [at] : [])),
    ...(found < 0 ? {} : { here: found }),
  }
}

function boundsOf({ psi_watch, psi_drift }: Thresholds): Chart['bounds'] {
  const { watch, drift } = words.drift.verdicts
  return [
    { at: psi_watch, name: watch },
    { at: psi_drift, name: drift },
  ]
}

export interface Named {
  name: string
  estimate: Pick<Estimate, 'value' | 'low' | 'high'> | undefined
}

/** Values of one kind. */
export interface Intervals {
  title: string
  /** What stands at the axis: the title has too many words for it. */
  unit: string
  named: readonly Named[]
  written: (value: number) => string
}

/** Values from 0 to 1 side by side, each with its interval as a band; what nothing is known of is not in it. */
export function intervalsOf({ title, unit, named, written }: Intervals, across: string): Chart {
  const known = named.flatMap(({ name, estimate }) => (estimate ? [{ name, ...estimate }] : []))
  return {
    label: says.intervals(title),
    across: {
      name: across,
      rows: known.map(({ name }) => name),
      ticks: known.map(({ name: text }, at) => ({ at, text })),
    },
    up: { name: unit, top: 1, written },
    series: [
      { name: says.value, drawn: 'points', values: known.map(({ value }) => value) },
      { name: says.low, drawn: 'low', values: known.map(({ low }) => low) },
      { name: says.high, drawn: 'high', values: known.map(({ high }) => high) },
    ],
    bounds: [],
    alarms: [],
  }
}

const overlap = (value: number) => decimal(value, 2)

/** The figures of quality, group by group; weeks in their order. */
export function plotsOf(by: QualityBy, groups: readonly QualityGroup[]): Intervals[] {
  const { dice, far, frr, agree } = words.quality.columns
  const sorted = by === 'week' ? [...groups].sort((a, b) => (a.name < b.name ? -1 : 1)) : groups
  const named = (estimate: (group: QualityGroup) => Estimate | undefined) =>
    sorted.map((group) => ({ name: groupName(by, group.name), estimate: estimate(group) }))
  return [
    { title: dice, unit: says.dice, written: overlap, named: named((group) => diceOf(group.dice)) },
    { title: far, unit: says.rate, written: share, named: named((group) => rateOf(group.far)) },
    { title: frr, unit: says.rate, written: share, named: named((group) => rateOf(group.frr)) },
    { title: agree, unit: says.rate, written: share, named: named((group) => rateOf(group.agree)) },
  ]
}

/** What versions came to, the oldest first, on the gate set of the newest: figures of another one are not beside them. */
export function versionsOf(versions: readonly Version[]): { gateSet: string; plots: Intervals[] } {
  const evaluated = versions
    .flatMap(({ name, version, registered_ms, evaluation }) =>
      evaluation && evaluation.failure === null ? [{ name: `${name}/${version}`, registered_ms, evaluation }] : [],
    )
    .sort((a, b) => a.registered_ms - b.registered_ms)
  const gateSet = evaluated.at(-1)?.evaluation.gate_set ?? ''
  const alike = evaluated.filter(({ evaluation }) => evaluation.gate_set === gateSet)
  const { falselyFound, missed } = words.models
  const plot = (title: string, figure: 'dice' | 'far' | 'frr') => ({
    title,
    unit: figure === 'dice' ? says.dice : says.rate,
    written: figure === 'dice' ? overlap : share,
    named: alike.map(({ name, evaluation }) => ({ name, estimate: evaluation[figure] })),
  })
  return { gateSet, plots: [plot(words.quality.columns.dice, 'dice'), plot(falselyFound, 'far'), plot(missed, 'frr')] }
}
