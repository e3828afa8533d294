import type { State } from '../api/scans'
import type { Review } from '../filter'

/** What stands around every page, in English. */
export const FRAME = {
  frame: {
    brand: 'medseg',
    home: 'medseg, all scans',
    models: 'Models',
    skip: 'Skip to the content',
  },
  list: {
    name: 'Earlier scans',
    title: 'Scans',
    newScan: 'New scan',
    back: 'All scans',
    hideNames: 'Hide names',
    show: 'Show',
    all: 'All scans',
    groups: {
      answer: 'By answer',
      state: 'By state',
      priority: 'By urgency',
      review: 'By review',
    },
    states: {
      queued: 'Waiting',
      running: 'Analysing',
      done: 'Done',
    } satisfies Record<State, string>,
    urgent: 'Urgent',
    reviews: {
      unreviewed: 'Not reviewed',
      hidden: 'Judged by others',
      agreed: 'Agreed',
      corrected: 'Corrected',
      rejected: 'Rejected',
      unsure: 'Unsure',
      conflict: 'Readers differ',
    } satisfies Record<Review, string>,
    none: 'No scans yet. The first one that you send will be listed here.',
    noneSuch: 'There is no such scan.',
    ownOnly: 'Of those that were reviewed you see the scans that you have judged yourself.',
    again: 'Try again',
    older: 'Show older scans',
  },
}
