import type { ExpectedDice, Laterality, Look, Told, View } from './api/result'
import type { Answer, Scan } from './api/scans'
import { decimal, probability } from './units'
import { words } from './words/table'

export { words }

/** The four answers, each with its own words; the sentence says what the answer does not mean. */
export const ANSWERS: Readonly<Record<Answer, { title: string; short: string; sentence: string }>> = words.answers

/** How well an outline is likely to fit, for who has never heard of Dice. */
export function fitOf({ dice, interval: [from, to] }: ExpectedDice): string {
  const [expected, low, high] = [decimal(dice, 2), decimal(from, 2), decimal(to, 2)]
  return words.origin.fit(expected, low, high)
}

/** What kind of image a scan was taken for, and who said so. */
export function imageKindOf({ kind, told_by, model }: Told): string {
  const { kinds, byHeader, byModel } = words.origin
  if (told_by === 'dicom') return byHeader(kinds[kind])
  if (told_by === 'model' && model) return byModel(kinds[kind], probability(model.probability))
  return kinds[kind]
}

/** How the model looked, as in `224 pixels, in the mirror too`. */
export function lookOf({ side, mirrored }: Look): string {
  return mirrored ? words.origin.lookMirrored(side) : words.origin.look(side)
}

/** On which side of the patient a finding lies. */
export function sideOf(laterality: Laterality | null | undefined): string {
  return words.sides[laterality ?? 'unknown']
}

/** What is at the left and at the top of a picture. */
export function viewOf(view: View | null | undefined): string {
  if (!view) return words.views.stored
  const ends: Readonly<Record<string, string>> = words.views.ends
  return words.views.is(words.views.planes[view.plane], ends[view.left] ?? view.left, ends[view.top] ?? view.top)
}

/** Where a scan is, in a few words. */
export function stateOf(scan: Scan): string {
  if (scan.answer) return ANSWERS[scan.answer].short
  const state = scan.state === 'running' ? words.scan.analysing : words.scan.waiting
  return scan.priority === 'stat' ? words.scan.urgent(state) : state
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

export function sentence(said: string): string {
  const text = said.trim()
  if (!text) return ''
  const start = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(start) ? start : `${start}.`
}
