import type { ReviewState } from './feedback'
import { request } from './http'
import type { Scan } from './scans'

/** A scan that there is a result of, with how far its review is. */
export interface ReviewedScan extends Scan {
  /** Nothing where others have judged it and the caller has not. */
  review: ReviewState | null
}

export interface ReviewPage {
  scans: ReviewedScan[]
  next_cursor: string | null
}

/** Scans newest first, from behind the one that `cursor` names; of one state of review, or of all. */
export async function listReviews(cursor: string, limit: number, state?: ReviewState): Promise<ReviewPage> {
  const query = new URLSearchParams({ limit: String(limit) })
  if (cursor) query.set('cursor', cursor)
  if (state) query.set('state', state)
  return (await (await request(`v1/feedback?${query}`)).json()) as ReviewPage
}
