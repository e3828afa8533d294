import type { DeliveryState, Kind } from '../api/deliveries'

/** What is said of what was pushed where, in English. */
export const DELIVERIES = {
  deliveries: {
    title: 'Deliveries',
    destinations: 'Where results go',
    noDestinations: 'Results are pushed nowhere yet.',
    kinds: { webhook: 'Signed webhook', stow: 'Archive (DICOM, STOW-RS)' } satisfies Record<Kind, string>,
    counts: (waiting: string, failed: string) => `${waiting} waiting, ${failed} failed`,
    paused: (when: string) => `The last attempt has failed; the next one ${when}`,
    off: 'Disabled',
    add: 'Add a destination',
    name: 'Name',
    kind: 'Kind',
    url: 'Address',
    formats: 'What is sent',
    secret: { webhook: 'Signing secret (left empty, one is made)', stow: 'Value of the header Authorization (left empty, none is sent)' } satisfies Record<
      Kind,
      string
    >,
    make: 'Add the destination',
    secretOf: (name: string) => `The secret that ${name} is signed with. It is shown only now.`,
    enable: 'Enable',
    disable: 'Disable',
    remove: 'Remove',
    sure: (name: string) => `Remove ${name}? What waits for it will have failed.`,
    list: 'What went where',
    show: 'Show',
    all: 'All',
    states: { waiting: 'Waiting', delivered: 'Delivered', failed: 'Failed' } satisfies Record<DeliveryState, string>,
    none: 'There is no such delivery.',
    scan: (scan: string) => `Scan ${scan}`,
    attempts: (count: string) => `Attempts: ${count}`,
    due: (when: string) => `Next attempt ${when}`,
    ended: (when: string) => `Ended ${when}`,
    again: 'Send again',
    againOf: (scan: string, destination: string) => `Send scan ${scan} to ${destination} again`,
    waits: 'It waits to be sent.',
    refresh: 'Look again',
    older: 'Show older deliveries',
  },
}
