import type { Finding, Totals } from './api/result'
import { count, figures } from './units'
import { words } from './words/table'

export interface Size {
  number: string
  unit: string
  /** What the number is, such as `Volume`. */
  what: string
}

type Sized = Pick<Totals, 'voxels' | 'volume_ml' | 'area_mm2'>

/**
 * How large findings are: a volume in mL, of a single slice the area in mm², or a count where the scan
 * does not say how large a pixel is.
 */
export function sizeOf({ voxels, volume_ml, area_mm2 }: Sized, slices: number): Size {
  if (slices === 1) {
    const what = words.size.area
    return area_mm2 === null
      ? { number: count(voxels), unit: words.size.pixels(voxels === 1), what }
      : { number: figures(area_mm2), unit: 'mm²', what }
  }
  return volume_ml === null
    ? { number: count(voxels), unit: words.size.voxels(voxels === 1), what: words.size.volume }
    : { number: figures(volume_ml), unit: 'mL', what: words.size.volume }
}

/** Both diameters, as in `31.2 × 24.8 mm`. */
export function diametersOf({ longest_diameter, perpendicular_diameter, unit }: Finding): string {
  return lengths([longest_diameter.length, perpendicular_diameter.length], unit)
}

/** The box's edges: width × height, and in a volume × depth. */
export function boxOf({ box, unit }: Finding, slices: number): string {
  const [depth, height, width] = box.size
  // Without a pixel's size a slice's distance is unknown too, and no length to set beside the others.
  return lengths(slices > 1 && unit === 'mm' ? [width, height, depth] : [width, height], unit)
}

/** The size of the main findings in a sentence. */
export function inWords(findings: readonly Finding[], totals: Sized, slices: number): string {
  const [largest] = findings
  if (!largest) return ''
  const unit = unitName(largest.unit)
  const long = figures(largest.longest_diameter.length)
  const across = figures(largest.perpendicular_diameter.length)
  const extent = words.size.extent(long, across, unit)
  if (findings.length === 1) return words.size.one(extent)
  const size = sizeOf(totals, slices)
  return words.size.several(count(findings.length), `${size.number} ${size.unit}`, extent)
}

/** Main findings, and lesser ones apart. */
export function byRole(findings: readonly Finding[]): { main: Finding[]; lesser: Finding[] } {
  const isLesser = ({ role }: Finding) => role === 'lesser'
  return { main: findings.filter((finding) => !isLesser(finding)), lesser: findings.filter(isLesser) }
}

function lengths(values: readonly number[], unit: Finding['unit']): string {
  // Whole pixels are counted, not measured.
  const written = (value: number) => (unit === 'px' && Number.isInteger(value) ? count(value) : figures(value))
  return `${values.map(written).join(' × ')} ${unitName(unit)}`
}

function unitName(unit: Finding['unit']): string {
  return unit === 'px' ? words.size.pixels(false) : unit
}
