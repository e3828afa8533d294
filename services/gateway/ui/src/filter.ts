import type { ReviewState } from './api/feedback'
import type { Answer, Priority, Scan, State } from './api/scans'

/** How far the review of a scan is, for whoever asks: others may have judged it, of which a reader who has not is told no more. */
export type Review = ReviewState | 'hidden'

/** Which scans are listed. One thing at a time: an answer implies a state, and the server lists reviews apart. */
export type Filter =
  | { by: 'all' }
  | { by: 'answer'; answer: Answer }
  | { by: 'state'; state: State }
  | { by: 'priority'; priority: Priority }
  | { by: 'review'; review: ReviewState }

export const ALL = { by: 'all' } as const satisfies Filter

/** All that can be asked for, as the list offers it. */
export const FILTERS = {
  answer: ['found', 'none_found', 'not_analysable', 'failed'],
  state: ['queued', 'running', 'done'],
  priority: ['stat'],
  review: ['unreviewed', 'agreed', 'corrected', 'rejected', 'unsure', 'conflict'],
} as const satisfies {
  answer: readonly Answer[]
  state: readonly State[]
  priority: readonly Priority[]
  review: readonly ReviewState[]
}

/** A filter by its name, such as `answer:found`; any other name is none. */
export function filterNamed(name: string): Filter {
  const [by, what] = name.split(':')
  const answer = FILTERS.answer.find((one) => one === what)
  if (by === 'answer' && answer) return { by, answer }
  const state = FILTERS.state.find((one) => one === what)
  if (by === 'state' && state) return { by, state }
  const priority = FILTERS.priority.find((one) => one === what)
  if (by === 'priority' && priority) return { by, priority }
  const review = FILTERS.review.find((one) => one === what)
  return by === 'review' && review ? { by, review } : ALL
}

export function nameOf(filter: Filter): string {
  switch (filter.by) {
    case 'all':
      return ''
    case 'answer':
      return `answer:${filter.answer}`
    case 'state':
      return `state:${filter.state}`
    case 'priority':
      return `priority:${filter.priority}`
    case 'review':
      return `review:${filter.review}`
  }
}

/** Whether a scan is one of those: what is known of it may be newer than the list that it came with. */
export function matches(filter: Filter, scan: Pick<Scan, 'answer' | 'state' | 'priority'>, review: Review | undefined): boolean {
  switch (filter.by) {
    case 'all':
      return true
    case 'answer':
      return scan.answer === filter.answer
    case 'state':
      return scan.state === filter.state
    case 'priority':
      return scan.priority === filter.priority
    case 'review':
      return review === filter.review
  }
}

/** The next of `count` rows, `by` further than the one at `at`; before the first step, none is: -1. */
export function stepped(count: number, at: number, by: 1 | -1): number {
  if (count === 0) return -1
  if (at < 0) return by > 0 ? 0 : count - 1
  return Math.min(Math.max(at + by, 0), count - 1)
}
