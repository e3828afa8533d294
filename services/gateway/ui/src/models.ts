import type { Kind, Route, Version } from './api/models'
import { words } from './words'

/** Side by side on a screen: more would not be compared any more. */
export const COMPARED_MAX = 3
/** Says in an address that nothing is compared: what is empty is in none. */
const NOTHING = '-'
const KINDS: readonly Kind[] = ['flair', 't1_contrast']

/** What the address of the page of models asks for. */
export interface AskedModels {
  /** Versions beside each other, as `name/version`; nothing: the newest. */
  compare: readonly string[] | undefined
  /** Where a version is to be promoted; empty: at every kind that has no model of its own. */
  kind: Kind | ''
}

export function modelsIn(query: string): AskedModels {
  const asked = new URLSearchParams(query)
  const compare = asked.get('compare') ?? ''
  const versions = compare === '' ? undefined : compare.split(',').filter((key) => key !== NOTHING)
  return { compare: versions?.slice(-COMPARED_MAX), kind: KINDS.find((kind) => kind === asked.get('kind')) ?? '' }
}

/** The same as an address says it. */
export function askedOfModels({ compare, kind }: AskedModels): Record<string, string> {
  return { compare: compare?.length === 0 ? NOTHING : (compare ?? []).join(','), kind }
}

/** What a kind of image is called. */
export function kindName(kind: string): string {
  const names: Readonly<Record<string, string>> = words.origin.kinds
  return names[kind] ?? kind
}

/** What a route is called: `MR`, `MR FLAIR`. */
export function placeOf({ modality, image_kind }: Route): string {
  const kind = image_kind ? kindName(image_kind) : ''
  return [modality, kind].filter((word) => word !== '').join(' ')
}

/** The kinds that a version has by itself; null stands for every kind that has no model of its own. */
export function kindsOf({ serves }: Pick<Version, 'serves'>): (string | null)[] {
  return [...new Set(serves.map(({ image_kind }) => image_kind ?? null))]
}

/** Whether a version answers that kind by itself. */
export function servesKind(version: Pick<Version, 'serves'>, kind: string | null): boolean {
  return kindsOf(version).includes(kind)
}
