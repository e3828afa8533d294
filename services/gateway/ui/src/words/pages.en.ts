import type { QualityBy } from '../api/quality'
import type { ImageKind } from '../api/result'

/** What the pages of figures say, in English. */
export const PAGES = {
  loading: 'On its way …',
  frame: {
    brand: 'medseg',
    home: 'medseg, new scan',
    models: 'Models',
    skip: 'Skip to the content',
  },
  period: {
    from: 'From (day, UTC)',
    to: 'To (that day, too)',
  },
  quality: {
    title: 'Quality',
    about: 'How good the answers “found” and “none found” are, by the latest word of each reader.',
    grouped: 'Group by',
    by: {
      model: 'Model',
      week: 'Week',
      kind: 'Kind of image',
      size: 'Size of what was marked',
    } satisfies Record<QualityBy, string>,
    kinds: {
      flair: 'FLAIR',
      t1_contrast: 'T1 with contrast agent',
      other: 'Another kind',
      unknown: 'Not known',
    } satisfies Record<ImageKind, string>,
    table: 'Figures of quality',
    columns: {
      reviewed: 'Reviewed, of all scans',
      dice: 'Overlap (Dice)',
      far: 'Found where there is no tumour',
      frr: 'None found where there is a tumour',
      agree: 'Scans whose readers agree with the answer',
    },
    interval: (low: string, high: string) => `${low} to ${high}`,
    of: (count: string, all: string) => `${count} of ${all}`,
    ofScans: (count: string) => (count === '1' ? '1 scan' : `${count} scans`),
    empty: (count: string) => (count === '1' ? 'Of them 1 is empty in both and counts 1.' : `Of them ${count} are empty in both and count 1.`),
    others: (dice: string) => `All others: ${dice}.`,
    noOthers: 'There are no others.',
    disputed: (count: string) => `Readers differ on ${count}: in neither rate.`,
    nothing: 'Not known',
    reviewed: (reviewed: string, scans: string, share: string) =>
      `Readers have judged ${reviewed} of ${scans} scans (${share}). They were not drawn by chance: the figures are of these, and all others may be better or worse.`,
    noScans: 'No scan was answered in this time.',
    bars: 'In parentheses: the 95 % interval. The bars show the same, from 0 at the left to 1 at the right.',
    remarks: 'To know before you conclude anything',
  },
}
