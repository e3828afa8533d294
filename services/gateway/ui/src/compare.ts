import type { Finding, ImageKind, ResultDocument } from './api/result'

/** The sizes of one scan's main findings that are set beside another's. */
export interface Sizes {
  /** Of all together; nothing where it is not known, or of a single slice. */
  volume_ml: number | undefined
  /** Of the largest, both in mm; nothing where there is none, or pixels have no size. */
  longest_mm: number | undefined
  perpendicular_mm: number | undefined
  /** The sum of the products of both diameters, of what is measurable; nothing where pixels have no size. */
  products_mm2: number | undefined
}

/**
 * What the change of the sum of products would be called.
 *
 * `unmeasurable`: there is no measurable region in at least one of both; `unknown`: nothing is known in mm; `kind`: that both are
 * of one kind of image is not known.
 */
export type Aid = 'increase' | 'between' | 'decrease' | 'unmeasurable' | 'unknown' | 'kind'

/** As shares of the sum before. */
const INCREASE = 0.25
const DECREASE = -0.5
/** What is measurable: both diameters at least so long, through at least so many slices. The largest five count. */
const MEASURABLE_MM = 10
const MEASURABLE_SLICES = 2
const TARGETS_MOST = 5

export function sizesOf({ findings, totals }: ResultDocument, slices: number): Sizes {
  const main = findings.filter(({ role }) => role !== 'lesser')
  const inMm = main.every(({ unit }) => unit === 'mm')
  const [largest] = inMm ? main : []
  return {
    // Where nothing is found there is no total, and nothing of it.
    volume_ml: slices === 1 ? undefined : main.length === 0 ? 0 : (totals?.volume_ml ?? undefined),
    longest_mm: largest?.longest_diameter.length,
    perpendicular_mm: largest?.perpendicular_diameter.length,
    products_mm2: inMm ? productsOf(main) : undefined,
  }
}

/**
 * The words of RANO for a change of the sum of products of perpendicular diameters: an increase of at least a quarter, a decrease of
 * at least a half (Wen et al., J Clin Oncol 2010;28:1963–72; for tumours without enhancement van den Bent et al., Lancet Oncol
 * 2011;12:583–93). Measurable are regions of at least 10 mm in both diameters on at least two slices; at most five are summed.
 *
 * An aid, and no assessment. It compares with this prior, where RANO compares with the smallest sum since treatment began; it takes
 * what a model marked for the lesion, and cannot know whether that enhances, which region of one scan is which of the other,
 * whether a lesion is new, how the patient is, nor which drugs (steroids) and radiation were given and when.
 */
export function aidOf(before: Sizes, now: Sizes, kind: ImageKind): Aid {
  if (kind !== 'flair' && kind !== 't1_contrast') return 'kind'
  if (before.products_mm2 === undefined || now.products_mm2 === undefined) return 'unknown'
  if (before.products_mm2 === 0 || now.products_mm2 === 0) return 'unmeasurable'
  const change = changeOf(before.products_mm2, now.products_mm2)
  if (change >= INCREASE) return 'increase'
  return change <= DECREASE ? 'decrease' : 'between'
}

/** As a share of what was before. */
export function changeOf(before: number, now: number): number {
  return (now - before) / before
}

function productsOf(main: readonly Finding[]): number {
  const products = main.filter(isMeasurable).map(productOf)
  const targets = products.sort((one, other) => other - one).slice(0, TARGETS_MOST)
  return targets.reduce((sum, product) => sum + product, 0)
}

function isMeasurable({ longest_diameter, perpendicular_diameter, box }: Finding): boolean {
  const shorter = Math.min(longest_diameter.length, perpendicular_diameter.length)
  return shorter >= MEASURABLE_MM && box.size[0] >= MEASURABLE_SLICES
}

function productOf({ longest_diameter, perpendicular_diameter }: Finding): number {
  return longest_diameter.length * perpendicular_diameter.length
}

/** Two slices, one of each scan, that lie opposite each other. */
export type Pair = readonly [of: number, beside: number]

/**
 * The slice of the scan beside that is as far from its slice of the pair as `slice` is from its own, in mm.
 *
 * Two examinations share no coordinates: where the patient lay is another place each time, so a pair is what a reader has set.
 */
export function opposite(slice: number, pair: Pair, of_mm: number, beside_mm: number): number {
  return pair[1] + ((slice - pair[0]) * of_mm) / beside_mm
}
