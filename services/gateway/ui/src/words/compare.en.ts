import type { Aid } from '../compare'

/** What is said of a scan beside others of the same patient, in English. */
export const COMPARE = {
  priors: {
    title: 'Prior scan',
    choose: 'Prior, of the same kind of image',
    taken: (day: string) => `of ${day}`,
    sent: (day: string) => `sent ${day}`,
    show: 'Show it beside',
    hide: 'Show it no more',
    beside: (which: string) => `Prior ${which}`,
    stage: (which: string, slice: string) => `Prior scan ${which}${slice}`,
    linked: 'Scroll together, by the distance in mm',
    linkedHint: 'Untick it, scroll until both show the same level, and tick it again: the two examinations share no coordinates.',
    notLinked: 'The distance of slices is not known in both scans: each is scrolled by itself.',
    otherView: 'The two are shown in different planes: each is scrolled by itself.',
    none: 'There is no earlier scan of the same kind of image of this patient here.',
    otherKind: (count: number) =>
      count === 1 ? 'One prior is of another kind of image.' : `${count} priors are of another kind of image.`,
    failed: 'Prior scans cannot be shown.',
    failedResult: 'The result of the prior cannot be shown.',
    table: 'Change since the prior',
    columns: { what: 'Size', before: 'Prior', now: 'Now', change: 'Change' },
    rows: {
      volume: 'Volume, mL',
      longest: 'Longest diameter, mm',
      perpendicular: 'Perpendicular diameter, mm',
      products: 'Sum of products, mm²',
    },
    unknown: 'not known',
    change: (difference: string, share: string) => `${difference} (${share})`,
    largest: 'Diameters are those of the largest main region of each scan; it may be another one.',
    aid: 'Aid in the words of RANO',
    aids: {
      increase: 'The sum of products is at least 25 % larger than in the prior.',
      between: 'The sum of products is neither 25 % larger nor 50 % smaller than in the prior.',
      decrease: 'The sum of products is at least 50 % smaller than in the prior.',
      unmeasurable:
        'In at least one of the two no region is measurable (10 mm in both diameters, on two slices): the sums are not compared.',
      unknown: 'Nothing is known in mm in at least one of the two: the sums are not compared.',
      kind: 'The images are not known to be of one kind that RANO speaks of (FLAIR, T1 with contrast agent): the sums are not compared.',
    } satisfies Record<Aid, string>,
    cannotKnow:
      'This is no assessment. RANO compares with the smallest sum since treatment began, not with one prior; and what the model marks need not be what enhances. It cannot know new lesions, which region is which, how the patient is, steroids, nor when radiation was given.',
    otherModel: 'The two results are of different versions of the model: a change of size may be the model’s.',
  },
  series: {
    title: 'Same study',
    current: 'this one',
    failed: 'The series of the study cannot be listed.',
  },
  planes: {
    show: '3 planes',
    label: (scan: string) => `Scan ${scan} in three planes and in 3-D`,
    loading: 'The volume is on its way',
    noWebGl: 'This browser has no WebGL 2, so three planes and 3-D cannot be shown together. The slices stay as they are.',
    failed: 'The volume cannot be shown in three planes.',
    tooLarge: (most: string) => `The volume is too large for a browser (more than ${most} voxels). The slices stay as they are.`,
    layouts: { planes: 'Three planes and 3-D', volume: '3-D alone' },
    layout: 'Layout',
    plane: 'Plane',
    hint: 'Click or drag to move the crosshair; the slice follows it. Drag with the right button for brightness and contrast. Turn the 3-D picture by dragging.',
    sideUnknown: 'Side unknown: the file does not say how the slices lie in the patient.',
  },
  measure: {
    tool: 'Measure',
    length: (length: string, unit: string) => `${length} ${unit}`,
    measured: (length: string, unit: string) => `Measured: ${length} ${unit}`,
    clear: 'Remove measures',
    pixels: 'pixels',
  },
}
