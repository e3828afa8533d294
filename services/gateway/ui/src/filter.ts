import type { ReviewState } from './api/feedback'
import type { Answer, Priority, Scan, State } from './api/scans'
import { periodIn } from './period'

/** How far the review of a scan is, for whoever asks: others may have judged it, of which a reader who has not is told no more. */
export type Review = ReviewState | 'hidden'

/** Which scans are listed: those of which all holds that is asked for. Empty: that is not asked for. */
export interface Filter {
  answer: Answer | ''
  state: State | ''
  priority: Priority | ''
  review: ReviewState | ''
  modality: (typeof MODALITIES)[number] | ''
  /** Where they were made, to the letter. */
  site: string
  /** The days on which they were sent, both of them in it, as the reader's clock has them: so the list is divided into days, too. */
  from: string
  to: string
}

const MODALITIES = ['MR', 'CT'] as const

export const ALL: Filter = { answer: '', state: '', priority: '', review: '', modality: '', site: '', from: '', to: '' }

/** What can be chosen, as the list offers it. */
export const FILTERS = {
  answer: ['found', 'none_found', 'not_analysable', 'failed'],
  state: ['queued', 'running', 'done'],
  priority: ['stat', 'routine'],
  review: ['unreviewed', 'agreed', 'corrected', 'rejected', 'unsure', 'conflict'],
  modality: MODALITIES,
} as const satisfies {
  answer: readonly Answer[]
  state: readonly State[]
  priority: readonly Priority[]
  review: readonly ReviewState[]
  modality: typeof MODALITIES
}

export const SITE_CHARS_MAX = 64

/** What an address asks for behind its `?`; of what nobody offers, nothing. */
export function filterIn(query: string): Filter {
  const asked = new URLSearchParams(query)
  const one = <T extends string>(by: string, all: readonly T[]): T | '' => all.find((one) => one === asked.get(by)) ?? ''
  return {
    answer: one('answer', FILTERS.answer),
    state: one('state', FILTERS.state),
    priority: one('priority', FILTERS.priority),
    review: one('review', FILTERS.review),
    modality: one('modality', FILTERS.modality),
    site: siteIn(asked.get('site') ?? ''),
    ...periodIn(asked),
  }
}

/** A place as the server takes one; any other is none. */
export function siteIn(text: string): string {
  const site = text.trim()
  return [...site].length <= SITE_CHARS_MAX && !/[\p{Cc}\\]/u.test(site) ? site : ''
}

/** What is asked for, and nothing of what is not. */
export function chosenIn(filter: Filter): (keyof Filter)[] {
  return (Object.keys(ALL) as (keyof Filter)[]).filter((by) => filter[by] !== '')
}

export function isSame(one: Filter, other: Filter): boolean {
  return (Object.keys(ALL) as (keyof Filter)[]).every((by) => one[by] === other[by])
}

/** As the server is asked: days become the moments in which they begin and end. */
export function askedOf(filter: Filter): Record<string, string> {
  const moments = momentsOf(filter)
  const asked = chosenIn(filter).map((by) => {
    const ms = by === 'from' || by === 'to' ? moments[by] : undefined
    return [by, ms === undefined ? filter[by] : new Date(ms).toISOString()] as const
  })
  return Object.fromEntries(asked)
}

/** Whether no scan can be all of that. */
export function isContradiction({ answer, state, review, from, to }: Filter): boolean {
  const undone = state === 'queued' || state === 'running'
  const empty = from !== '' && to !== '' && from > to
  return (undone && (answer !== '' || review !== '')) || (review !== '' && answer === 'failed') || empty
}

type Listed = Pick<Scan, 'answer' | 'state' | 'priority' | 'modality' | 'site' | 'accepted_ms'>

/** Whether a scan is one of those: what is known of it may be newer than the list that it came with. */
export function matches(filter: Filter, scan: Listed, review: Review | undefined): boolean {
  const known = { ...scan, review }
  const alike = (['answer', 'state', 'priority', 'review', 'modality', 'site'] as const).every((by) => filter[by] === '' || filter[by] === known[by])
  const { from = -Infinity, to = Infinity } = momentsOf(filter)
  return alike && from <= scan.accepted_ms && scan.accepted_ms < to
}

/** The first moment of the days that are asked for, and the first after them; nothing where they are open. */
function momentsOf({ from, to }: Filter): { from: number | undefined; to: number | undefined } {
  const begin = (day: string, after: number) => {
    const moment = new Date(`${day}T00:00:00`)
    moment.setDate(moment.getDate() + after)
    return day === '' ? undefined : moment.getTime()
  }
  return { from: begin(from, 0), to: begin(to, 1) }
}

/** The next of `count` rows, `by` further than the one at `at`; before the first step, none is: -1. */
export function stepped(count: number, at: number, by: 1 | -1): number {
  if (count === 0) return -1
  if (at < 0) return by > 0 ? 0 : count - 1
  return Math.min(Math.max(at + by, 0), count - 1)
}
