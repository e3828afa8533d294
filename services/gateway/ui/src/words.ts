import type { ExpectedDice, ImageKind, Laterality, Look, Told, View } from './api/result'
import { probability } from './units'
import type { Answer, Scan } from './api/scans'
import { EN } from './words.en'

/** The same table with any words in it. */
type AnyWords<T> = T extends string
  ? string
  : T extends (...said: infer Said) => string
    ? (...said: Said) => string
    : { readonly [Key in keyof T]: AnyWords<T[Key]> }

export type Words = AnyWords<typeof EN>

/** By the language of the page. French is to be another row. */
const TABLES: Readonly<Record<string, Words>> = { en: EN }

/** What the reading room says, in the page's language. */
export const words: Words = TABLES[globalThis.document?.documentElement.lang ?? 'en'] ?? EN

/** The four answers, each with its own words; the sentence says what the answer does not mean. */
export const ANSWERS: Record<Answer, { title: string; short: string; sentence: string }> = {
  found: {
    title: 'Tumour region found',
    short: 'Found',
    sentence: 'What is outlined was marked by the model. A radiologist must confirm it.',
  },
  none_found: {
    title: 'None found',
    short: 'None found',
    sentence: 'The whole scan was analysed and no tumour region was marked. This does not rule out a tumour.',
  },
  not_analysable: {
    title: 'Not analysable',
    short: 'Not analysable',
    sentence: 'The file is sound, but no model here may judge this scan. Nothing is said about the patient.',
  },
  failed: {
    title: 'Analysis failed',
    short: 'Failed',
    sentence: 'Something went wrong on our side. This says nothing about the patient: the scan has not been judged.',
  },
}

/** How well an outline is likely to fit, for who has never heard of Dice. */
export function fitOf({ dice, interval: [from, to] }: ExpectedDice): string {
  const [expected, low, high] = [dice, from, to].map((value) => value.toFixed(2))
  return (
    `The outline is expected to overlap with a radiologist’s by ${expected} (Dice: 1 is a perfect fit, 0 none). ` +
    `For nine in ten scans like this one it lies between ${low} and ${high}.`
  )
}

/** What readers call each kind of image. */
export const KINDS: Record<ImageKind, string> = {
  flair: 'FLAIR',
  t1_contrast: 'T1 with contrast agent',
  other: 'Neither FLAIR nor T1 with contrast agent',
  unknown: 'Not known',
}

/** What kind of image a scan was taken for, and who said so. */
export function imageKindOf({ kind, told_by, model }: Told): string {
  if (told_by === 'dicom') return `${KINDS[kind]}, says its header`
  if (told_by === 'model' && model) return `${KINDS[kind]}, as the model sees it (${probability(model.probability)})`
  return KINDS[kind]
}

/** How the model looked, as in `224 pixels, in the mirror too`. */
export function lookOf({ side, mirrored }: Look): string {
  return `${side} pixels${mirrored ? ', in the mirror too' : ''}`
}

const SIDES: Record<Laterality, string> = {
  left: 'Patient’s left',
  right: 'Patient’s right',
  midline: 'On the middle, or on both sides of it',
}

/** On which side of the patient a finding lies. */
export function sideOf(laterality: Laterality | null | undefined): string {
  return laterality ? SIDES[laterality] : 'Unknown'
}

const ENDS: Record<string, string> = {
  R: 'patient’s right',
  L: 'patient’s left',
  A: 'front',
  P: 'back',
  H: 'head',
  F: 'feet',
}

/** What is at the left and at the top of a picture. */
export function viewOf(view: View | null | undefined): string {
  if (!view) return 'As stored: which side is which is unknown'
  const plane = view.plane.charAt(0).toUpperCase() + view.plane.slice(1)
  return `${plane}: ${ENDS[view.left] ?? view.left} at the left, ${ENDS[view.top] ?? view.top} at the top`
}

/** Where a scan is, in a few words. */
export function stateOf(scan: Scan): string {
  if (scan.answer) return ANSWERS[scan.answer].short
  const state = scan.state === 'running' ? 'Analysing' : 'Waiting'
  return scan.priority === 'stat' ? `${state}, urgent` : state
}

// Ids begin with the time that they were made: only their end tells neighbours apart.
export function shortId(id: string): string {
  return id.slice(-6)
}

const FORMATS: Record<string, string> = {
  dicom: 'DICOM',
  nifti: 'NIfTI',
  png: 'PNG',
  jpeg: 'JPEG',
  tiff: 'TIFF',
  webp: 'WebP',
  zip: 'zip',
}

export function formatName(format: string): string {
  return FORMATS[format] ?? format.toUpperCase()
}

/** What was uploaded, as in `MR, DICOM`. */
export function kindOf(scan: Scan): string {
  return [scan.modality, formatName(scan.format)].filter(Boolean).join(', ')
}

export function sentence(words: string): string {
  const text = words.trim()
  if (!text) return ''
  const start = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(start) ? start : `${start}.`
}
