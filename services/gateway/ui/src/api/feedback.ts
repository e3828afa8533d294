import { request } from './http'
import type { MaskFile } from './masks'
import { pathOf } from './scans'

// As the description of the API has them.

export type FeedbackVerdict = 'agree' | 'correct' | 'reject' | 'unsure'
export type FeedbackReason = 'missed' | 'false_finding' | 'outline' | 'wrong_side' | 'quality' | 'other'
export type Truth = 'tumour' | 'no_tumour'

/** Where something is that was not found: a voxel of the pictures, counted from 0. */
export interface MissedPlace {
  slice: number
  row: number
  column: number
}

export interface FindingVerdict {
  label: number
  verdict: 'agree' | 'reject' | 'unsure'
  /** Neither of the two is there where it is not said. */
  reason?: FeedbackReason
  note?: string
}

/** A reader's word on a scan, before it is given. */
export interface NewFeedback {
  verdict: FeedbackVerdict
  truth: Truth | null
  reason: FeedbackReason | null
  note: string
  findings: FindingVerdict[]
  missed: MissedPlace[]
  /** The ids of what others have said that it settles; for adjudicators. */
  adjudicates?: string[]
}

/** What the latest words of all readers come to. */
export type ReviewState = 'unreviewed' | 'agreed' | 'corrected' | 'rejected' | 'unsure' | 'conflict'

export interface Feedback extends NewFeedback {
  id: string
  scan_id: string
  /** The user's name. */
  reader: string
  /** As RFC 3339 writes it. */
  given_at: string
  /** Whether the reader has drawn an outline of their own. */
  mask: boolean
  /** Of that outline beside the result's main findings. */
  dice: number | null
  /** That made the result. */
  model: { name: string; version: string; sha256: string } | null
  /** The same reader's word before. */
  supersedes: string | null
  /** What others have said that this word settles. */
  adjudicates: string[]
}

/** Two outlines, by the ids of the feedback that they came with. */
export interface Overlap {
  feedback: string[]
  /** Nothing where they are of two forms. */
  dice: number | null
}

/** What was said of a scan. Who has not judged it yet is told only how many have. */
export interface FeedbackOfScan {
  /** The newest first. */
  feedback: Feedback[]
  /** Nothing while words are hidden. */
  state: ReviewState | null
  hidden: number
  /** How far the outlines that count mark the same, each two of them. */
  overlaps: Overlap[]
}

export async function listFeedback(id: string, signal: AbortSignal): Promise<FeedbackOfScan> {
  return (await request(`${pathOf(id)}/feedback`, { signal })).json() as Promise<FeedbackOfScan>
}

/** Under the same key the same word is given once, however often it is sent; with the outline that goes with it, if there is one. */
export async function giveFeedback(id: string, said: NewFeedback, key: string, mask?: MaskFile): Promise<Feedback> {
  const headers = { 'idempotency-key': key }
  // Of a form the browser itself names the boundary.
  const sent = mask
    ? { headers, body: form(said, mask) }
    : { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(said) }
  const response = await request(`${pathOf(id)}/feedback`, { method: 'POST', ...sent })
  return (await response.json()) as Feedback
}

/** The word comes first: the server checks the file as it comes. */
function form(said: NewFeedback, { blob, name }: MaskFile): FormData {
  const form = new FormData()
  form.append('feedback', JSON.stringify(said))
  form.append('mask', blob, name)
  return form
}
