import type { State } from '../api/scans'
import type { Review } from '../filter'

/** What stands around every page, in English. */
export const FRAME = {
  frame: {
    brand: 'medseg',
    home: 'medseg, all scans',
    models: 'Models',
    skip: 'Skip to the content',
    signOut: 'Sign out',
    language: 'Language',
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
  administration: {
    title: 'Administration',
    learning: 'Learning from scans',
    learningHint:
      'With the hospital’s consent, scans that its readers have confirmed may be handed out, without names, to whoever trains models. Where it is withdrawn, nothing is handed out any more, and the next export takes out what there was; models that have learned from it stay as they are.',
    mayLearn: 'Confirmed scans may be learned from',
    on: 'On',
    off: 'Off',
    nowOn: 'Confirmed scans may be learned from now.',
    nowOff: 'No scan is learned from any more.',
    decided: (who: string, when: string) => `Decided by ${who}, ${when}. Each decision is kept.`,
    undecided: 'Nobody has decided yet, so nothing is learned from.',
    incidents: 'Reported problems',
    noIncidents: 'Nobody has reported a problem.',
    reported: (reporter: string, when: string) => `${reporter}, ${when}:`,
    ofScan: (scan: string) => `of scan ${scan}`,
    ofSystem: 'of the system',
    older: 'Show older reports',
  },
}
