import type { Feedback, FeedbackReason, FeedbackVerdict, FindingVerdict, MissedPlace, NewFeedback, Truth } from './api/feedback'
import type { Finding } from './api/result'
import type { Answer } from './api/scans'

/** What a reader is about to say of a scan. */
export interface Draft {
  verdict: FeedbackVerdict | null
  truth: Truth | null
  reason: FeedbackReason | null
  note: string
  /** Labels of findings that are none. */
  rejected: readonly number[]
  /** What is said of single findings beside that, by their labels. */
  singles: Readonly<Record<number, Single>>
  missed: readonly MissedPlace[]
  /** The ids of what others have said that it settles. */
  settles: readonly string[]
}

/** What a reader says of one finding, but for that it is none. */
export interface Single {
  /** Nothing: as the rest of the draft has it. */
  verdict: Exclude<FindingVerdict['verdict'], 'reject'> | null
  reason: FeedbackReason | null
  note: string
}

const NO_SINGLE: Single = { verdict: null, reason: null, note: '' }

export const NOTHING: Draft = { verdict: null, truth: null, reason: null, note: '', rejected: [], singles: {}, missed: [], settles: [] }

export const NOTE_CHARS_MAX = 2000

/** With another verdict, and what it says of the truth until the reader says otherwise. */
export function judged(draft: Draft, verdict: FeedbackVerdict, answer: Answer): Draft {
  return { ...draft, verdict, truth: truthOf(verdict, answer), reason: verdict === 'agree' ? null : draft.reason }
}

function truthOf(verdict: FeedbackVerdict, answer: Answer): Truth | null {
  if (verdict === 'unsure') return null
  if (verdict === 'correct') return 'tumour'
  return (answer === 'found') === (verdict === 'agree') ? 'tumour' : 'no_tumour'
}

/** Whether the draft may say something of single findings: whoever agrees with a result agrees with each of them. */
export function rejectable({ verdict }: Draft): boolean {
  return verdict !== null && verdict !== 'agree'
}

/** What is noted of that finding. */
export function singleOf(draft: Draft, label: number): Single {
  return draft.singles[label] ?? NO_SINGLE
}

/** With why, or a note, of one finding. */
export function noted(draft: Draft, label: number, said: Partial<Pick<Single, 'reason' | 'note'>>): Draft {
  return { ...draft, singles: { ...draft.singles, [label]: { ...singleOf(draft, label), ...said } } }
}

/** With a verdict on one finding: where one may be a tumour, it is no more said that there is none. */
export function chosen(draft: Draft, label: number, verdict: FindingVerdict['verdict']): Draft {
  const others = draft.rejected.filter((rejected) => rejected !== label)
  const rejects = verdict === 'reject'
  const single: Single = { ...singleOf(draft, label), verdict: rejects ? null : verdict }
  const truth = rejects || draft.truth !== 'no_tumour' ? draft.truth : verdict === 'agree' ? 'tumour' : null
  return { ...draft, truth, rejected: rejects ? [...others, label] : others, singles: { ...draft.singles, [label]: single } }
}

/** What the draft says of one finding, as it is sent; nothing where it says nothing of it. */
export function saidOf(draft: Draft, label: number): FindingVerdict['verdict'] | null {
  const { verdict, truth, rejected } = draft
  if (!rejectable(draft)) return null
  if (rejected.includes(label)) return 'reject'
  const own = singleOf(draft, label).verdict
  // Where there is no tumour each finding is none, and whoever is unsure of the whole says so of those alone that they have judged.
  if (truth === 'no_tumour') return verdict === 'unsure' && own === null ? null : 'reject'
  // Who rejects for another reason has said nothing of single ones.
  const each = verdict === 'correct' || (verdict === 'reject' && rejected.length > 0)
  return own ?? (each ? 'agree' : null)
}

export function toggled(draft: Draft, label: number): Draft {
  const others = draft.rejected.filter((rejected) => rejected !== label)
  return { ...draft, rejected: others.length < draft.rejected.length ? others : [...others, label] }
}

/** One place more, unless it is marked already. */
export function marked(draft: Draft, place: MissedPlace): Draft {
  if (draft.missed.some((known) => samePlace(known, place))) return draft
  return { ...draft, missed: [...draft.missed, place] }
}

export function unmarked(draft: Draft, place: MissedPlace): Draft {
  return { ...draft, missed: draft.missed.filter((known) => !samePlace(known, place)) }
}

function samePlace(one: MissedPlace, other: MissedPlace): boolean {
  return one.slice === other.slice && one.row === other.row && one.column === other.column
}

/** What is still to be said before it can be sent; nothing when it can. */
export type Lack = 'verdict' | 'correction' | 'truth' | 'doubt' | 'drawn'

/** An outline that the reader has drawn, and that is another than the result's. */
export interface Drawn {
  /** Whether anything is marked in it. */
  marks: boolean
}

export function lackOf(draft: Draft, findings: readonly Pick<Finding, 'label'>[], drawn?: Drawn): Lack | undefined {
  const { verdict, truth, missed, rejected } = draft
  if (verdict === null) return 'verdict'
  if (verdict === 'correct' && drawn) return lackOfDrawn(draft, drawn)
  if (verdict !== 'correct' || missed.length > 0) return undefined
  if (rejected.length === 0) return 'correction'
  // A tumour that is none of the findings was missed somewhere: that a correction which leaves nothing and marks nothing speaks
  // of one is the truth that its verdict began with, and nobody's word.
  const left = findings.filter(({ label }) => !rejected.includes(label))
  if (truth !== 'no_tumour' && left.length === 0) return 'truth'
  return truth === null && left.every(({ label }) => singleOf(draft, label).verdict === 'unsure') ? 'doubt' : undefined
}

function lackOfDrawn({ truth, missed }: Draft, { marks }: Drawn): Lack | undefined {
  if (marks) return truth === 'no_tumour' ? 'drawn' : undefined
  // What is left empty says that there is no tumour, unless it is somewhere that nobody has drawn.
  return truth === 'no_tumour' || (truth === 'tumour' && missed.length > 0) ? undefined : 'truth'
}

/** The draft as it is sent: what the verdict leaves no room for is left out. */
export function saidIn(draft: Draft, findings: readonly Pick<Finding, 'label'>[], drawn?: Drawn): NewFeedback | undefined {
  const { verdict, truth, reason, note } = draft
  if (verdict === null || lackOf(draft, findings, drawn)) return undefined
  return {
    verdict,
    truth,
    reason,
    note: note.trim(),
    findings: findings.flatMap(({ label }) => judgedIn(draft, label)),
    missed: verdict === 'correct' ? [...draft.missed] : [],
    ...(draft.settles.length > 0 ? { adjudicates: [...draft.settles] } : {}),
  }
}

/** What is sent of one finding. */
function judgedIn(draft: Draft, label: number): FindingVerdict[] {
  const verdict = saidOf(draft, label)
  if (verdict === null) return []
  const { reason, note } = singleOf(draft, label)
  const judged: FindingVerdict = { label, verdict }
  if (verdict !== 'agree' && reason) judged.reason = reason
  if (note.trim()) judged.note = note.trim()
  return [judged]
}

/** Of what was said, what counts in a review: the latest word of each reader, unless another settles it. */
export function counted<T extends Pick<Feedback, 'id' | 'supersedes' | 'adjudicates'>>(said: readonly T[]): T[] {
  const gone = new Set(said.flatMap(({ supersedes, adjudicates }) => [supersedes, ...adjudicates]))
  return said.filter(({ id }) => !gone.has(id))
}

/** A draft as it is kept in the tab, with whose it is. */
export interface Kept {
  reader: string
  key: string
  draft: Draft
}

/** What was kept, if it is this reader's and whole. */
export function keptIn(text: string | null, reader: string): Kept | undefined {
  try {
    const kept = JSON.parse(text ?? 'null') as Kept | null
    const whole = kept?.reader === reader && typeof kept.key === 'string' && Array.isArray(kept.draft.missed)
    return whole && Array.isArray(kept.draft.rejected) ? { ...kept, draft: { ...NOTHING, ...kept.draft } } : undefined
  } catch {
    return undefined
  }
}
