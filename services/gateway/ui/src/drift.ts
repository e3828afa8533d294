import type { DriftFeature, DriftVerdict, DriftWindow, Histogram } from './api/drift'
import { share } from './quality'
import { decimalSign, moments } from './units'
import { words } from './words'

const GRAVITY = ['drift', 'watch', 'stable', 'too_few_scans', 'no_reference'] as const satisfies readonly DriftVerdict[]

/** The gravest first, and alike ones by their names. */
export function byGravity(features: readonly DriftFeature[]): DriftFeature[] {
  const gravity = ({ verdict }: DriftFeature) => GRAVITY.indexOf(verdict)
  return [...features].sort((a, b) => gravity(a) - gravity(b) || (a.name < b.name ? -1 : 1))
}

/** The feature that is asked for, else the gravest. */
export function featureIn(features: readonly DriftFeature[], query: string): DriftFeature | undefined {
  const name = new URLSearchParams(query).get('feature')
  return features.find((feature) => feature.name === name) ?? byGravity(features)[0]
}

/** Features whose names this page does not know keep them. */
export function featureName(name: string): string {
  const names: Readonly<Record<string, string>> = words.drift.features
  return names[name] ?? name
}

/** A number of three figures: none of a feature is known better. */
export function three(value: number | null): string {
  return value === null ? '' : decimalSign(String(Number(value.toPrecision(3))))
}

/** A p-value is never written as if it were none. */
export function pValue(value: number | null): string {
  return value !== null && value < 0.001 ? words.drift.below(decimalSign('0.001')) : three(value)
}

/** A histogram on a picture of 100 × 100: the reference as bars, the window as a line over them. */
export interface Plot {
  bars: { x: number; width: number; height: number }[]
  line: string
  /** The share that the picture's top stands for. */
  top: number
}

/** The bins stand side by side, alike in width, with one more at each end for what lies beyond them. */
export function plotOf({ reference, window, below, above }: Histogram): Plot {
  const bars = [0, ...reference, 0]
  const shares = [below, ...window, above]
  const top = Math.max(0.01, ...bars, ...shares)
  const width = 100 / shares.length
  const height = (share: number) => (100 * share) / top
  const steps = shares.map((share, bin) => `V${tenths(100 - height(share))}H${tenths((bin + 1) * width)}`)
  return {
    bars: bars.map((share, bin) => ({ x: tenths(bin * width), width: tenths(width), height: tenths(height(share)) })),
    line: `M0 100${steps.join('')}V100`,
    top,
  }
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}

/** What the picture shows, in words. */
export function plotWords({ median, reference_median, histogram }: DriftFeature): string {
  const beyond = (histogram?.below ?? 0) + (histogram?.above ?? 0)
  return words.drift.plot(three(reference_median), three(median), share(beyond))
}

/** What of the windows the address asks for: one of them, two beside each other, or the list of them. */
export interface AskedWindows {
  window: string
  a: string
  b: string
}

export function windowsIn(query: string): AskedWindows {
  const asked = new URLSearchParams(query)
  return { window: asked.get('window') ?? '', a: asked.get('a') ?? '', b: asked.get('b') ?? '' }
}

/** When the scans of a window were completed. */
export function windowTimes({ from, to }: DriftWindow): string {
  return from === null || to === null ? '' : words.drift.windowOf(1, moments(Date.parse(from)), moments(Date.parse(to)))
}

/** What the scans of a window have in common. */
export function windowName({ model, image_kind, scanner }: DriftWindow): string {
  const kinds: Readonly<Record<string, string>> = words.quality.kinds
  const kind = kinds[image_kind ?? 'unknown'] ?? image_kind ?? ''
  return [kind, scanner ?? words.drift.noScanner, `${model.name} ${model.version}`].join(', ')
}

/** Of these windows, those that watch such scans as `of` does, oldest first. */
export function alike(windows: readonly DriftWindow[], of: DriftWindow): DriftWindow[] {
  const group = (window: DriftWindow) =>
    JSON.stringify([window.model.name, window.model.version, window.image_kind, window.scanner])
  return windows.filter((window) => group(window) === group(of)).sort((a, b) => a.number - b.number)
}

/** How far a feature is from the training: of embeddings by their discrepancy, of all others by the stability index. */
export function distance({ psi, mmd2 }: DriftFeature): number | null {
  return psi ?? mmd2 ?? null
}

/** A feature's distance from the training, window by window, on a picture of 100 × 100. */
export interface Trend {
  points: { id: string; x: number; y: number; words: string }[]
  line: string
  /** The distance that the picture's top stands for. */
  top: number
}

export function trendOf(windows: readonly DriftWindow[], name: string): Trend {
  const seen = windows.flatMap((window) => {
    const feature = window.features.find((feature) => feature.name === name)
    const value = feature ? distance(feature) : null
    return value === null ? [] : [{ window, value: Math.max(0, value) }]
  })
  const top = Math.max(0.25, ...seen.map(({ value }) => value))
  const points = seen.map(({ window, value }, place) => ({
    id: window.id,
    x: tenths((100 * (place + 0.5)) / seen.length),
    y: tenths(100 - (100 * value) / top),
    words: words.drift.trendPoint(windowTimes(window), three(value)),
  }))
  return { points, line: points.map(({ x, y }, place) => `${place === 0 ? 'M' : 'L'}${x} ${y}`).join(''), top }
}
