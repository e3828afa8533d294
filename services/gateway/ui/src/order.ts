import type { Scan } from './api/scans'
import type { Review } from './filter'

/** How the list is sorted, as its choice offers it. */
export const ORDERS = ['newest', 'urgent', 'volume', 'unreviewed'] as const

export type Order = (typeof ORDERS)[number]

/** What is known of a scan beside the list. */
export interface Beside {
  review: (id: string) => Review | undefined
}

/** The order that an address asks for behind its `?`; nothing where it asks for none that there is. */
export function orderIn(query: string): Order | undefined {
  const asked = new URLSearchParams(query).get('sort')
  return ORDERS.find((order) => order === asked)
}

/** What an address says of the order: nothing of the one that there is anyway. */
export function sortOf(order: Order): { sort: string } {
  return { sort: order === 'newest' ? '' : order }
}

/** The scans, newest first as they come, in that order; those that are alike in it stay newest first. */
export function ordered(scans: readonly Scan[], order: Order, beside: Beside): readonly Scan[] {
  if (order === 'newest') return scans
  const ranks = new Map(scans.map((scan) => [scan.id, rankOf(scan, order, beside)]))
  return [...scans].sort((a, b) => (ranks.get(a.id) ?? 0) - (ranks.get(b.id) ?? 0))
}

function rankOf({ id, priority, volume_ml: volume }: Scan, order: Exclude<Order, 'newest'>, { review }: Beside): number {
  switch (order) {
    case 'urgent':
      return priority === 'stat' ? 0 : 1
    case 'volume':
      // What nobody knows the volume of comes after what has none.
      return -(volume ?? -1)
    case 'unreviewed':
      return review(id) === 'unreviewed' ? 0 : 1
  }
}
