import type { DriftFeature, DriftVerdict, DriftWindow } from './api/drift'
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
export function windowName({ model, image_kind, scanner, site }: DriftWindow): string {
  const kinds: Readonly<Record<string, string>> = words.quality.kinds
  const kind = kinds[image_kind ?? 'unknown'] ?? image_kind ?? ''
  const where = site === null ? [] : [site]
  return [kind, scanner ?? words.drift.noScanner, ...where, `${model.name} ${model.version}`].join(', ')
}

/** Of these windows, those that watch such scans as `of` does, oldest first. */
export function alike(windows: readonly DriftWindow[], of: DriftWindow): DriftWindow[] {
  const group = (window: DriftWindow) =>
    JSON.stringify([window.model.name, window.model.version, window.image_kind, window.scanner, window.site])
  return windows.filter((window) => group(window) === group(of)).sort((a, b) => a.number - b.number)
}

/** How far a feature is from the training: how scans were taken by the share beyond it, embeddings by their discrepancy, all others by the index. */
export function distance({ psi, mmd2, beyond }: DriftFeature): number | null {
  return beyond ?? psi ?? mmd2 ?? null
}
