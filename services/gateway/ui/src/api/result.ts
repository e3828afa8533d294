import type { Answer } from './scans'

/** The fields of `result.json` that the page reads. A scan that nobody could look at has only the first few. */
export interface ResultDocument {
  scan_id: string
  answer: Answer
  reason: string | null
  findings: Finding[]
  totals?: Totals | null
  /** Of the answer, 0 to 1. */
  confidence?: number | null
  /** How well the mask is expected to fit; the real value lies in the interval nine times in ten. */
  expected_dice?: ExpectedDice | null
  /** What the result is not. */
  limits?: string
  software?: string
  quality?: { remarks: string[] }
  image?: ImageFacts
  model?: Model
}

export interface ExpectedDice {
  dice: number
  interval: [number, number]
}

export type Unit = 'mm' | 'px'

/** One connected region: main ones first, the largest of each role first. */
export interface Finding {
  label: number
  /** Lesser ones lie apart from the one tumour that was to be expected: they are in no total. */
  role?: Role
  /** What lengths are given in; `px` when the scan does not say how large a pixel is. */
  unit: Unit
  voxels: number
  volume_ml: number | null
  slice: number
  area_px: number
  area_mm2: number | null
  diameter_slice: number
  longest_diameter: Diameter
  perpendicular_diameter: Diameter
  box: { from: Place; to: Place; size: Place }
  /** The patient's side, measured from the middle of the head; null where it is unknown. */
  laterality?: Laterality | null
  confidence: number
}

export type Role = 'main' | 'lesser'
export type Laterality = 'left' | 'right' | 'midline'

export interface Diameter {
  length: number
  /** Row and column of both ends; centres of pixels lie at whole numbers. */
  ends: [[number, number], [number, number]]
}

/** Slice, row, column. */
export type Place = [number, number, number]

/** Of the main findings alone. */
export interface Totals {
  voxels: number
  volume_ml: number | null
  /** Of a single slice only. */
  area_mm2: number | null
  lesser?: { findings: number; voxels: number; volume_ml: number | null }
}

export interface ImageFacts {
  shape: { slices: number; rows: number; columns: number }
  /** Between slices, rows and columns. */
  spacing_mm: [number | null, number | null, number | null] | null
  /** What kind of image it was taken for, and who said so. */
  kind?: Told
  /** The slice, from 0, that mask and overlay show. */
  shown_slice: number
  /** What is at the edges of the pictures; null where the file does not say which way the patient lies. */
  view?: View | null
}

export interface View {
  plane: 'axial' | 'coronal' | 'sagittal'
  /** R or L, A or P, H or F. */
  left: string
  right: string
  top: string
  bottom: string
}

export interface Told {
  kind: ImageKind
  told_by: 'dicom' | 'model' | null
  /** What the model takes it for, whoever had the word. */
  model: { kind: ImageKind; probability: number } | null
}

export type ImageKind = 'flair' | 't1_contrast' | 'other' | 'unknown'

export interface Model {
  name: string
  version: string
  sha256: string
  preprocessing: string
  threshold: number
  /** The side of the squares that it looked at, in pixels, and whether it did so in the mirror too. */
  side: number
  mirrored?: boolean
  device: string
}
