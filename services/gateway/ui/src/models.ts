import type { Route, Version } from './api/models'
import { words } from './words'

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
