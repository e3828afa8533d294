import type * as api from './types'
import type { Written } from './written'

export type { ImageKind, Laterality, Look, Told, View } from './types'

// What follows says more than the description of the API can: how long its lists are.

/** The fields of `result.json` that the page reads. A scan that nobody could look at has only the first few. */
export interface ResultDocument
  extends Written<api.ResultDocument, 'scan_id' | 'answer' | 'reason' | 'limits' | 'software'>,
    Pick<api.ResultDocument, 'confidence' | 'quality' | 'model'> {
  findings: Finding[]
  totals?: Totals | null
  /** How well the mask is expected to fit; the real value lies in the interval nine times in ten. */
  expected_dice?: ExpectedDice | null
  image?: ImageFacts
}

export interface ExpectedDice extends Omit<api.ExpectedDice, 'interval'> {
  interval: [number, number]
}

/** One connected region: main ones first, the largest of each role first. */
export interface Finding
  extends Written<
      api.Finding,
      'label' | 'unit' | 'voxels' | 'volume_ml' | 'slice' | 'area_px' | 'area_mm2' | 'diameter_slice' | 'confidence'
    >,
    Pick<api.Finding, 'role' | 'laterality'> {
  longest_diameter: Diameter
  perpendicular_diameter: Diameter
  box: Record<keyof Pick<api.Bounds, 'from' | 'to' | 'size'>, Place>
}

export interface Diameter extends Omit<api.Diameter, 'ends'> {
  /** Row and column of both ends; centres of pixels lie at whole numbers. */
  ends: [[number, number], [number, number]]
}

/** Slice, row, column. */
export type Place = [number, number, number]

/** Of the main findings alone. */
export interface Totals extends Written<api.Totals, 'voxels' | 'volume_ml' | 'area_mm2'>, Pick<api.Totals, 'lesser'> {}

export interface ImageFacts
  extends Pick<api.ImageFacts, 'shape' | 'kind' | 'modality' | 'own_grid' | 'shown_slice' | 'view'> {
  /** Between slices, rows and columns. */
  spacing_mm: [number | null, number | null, number | null] | null
}
