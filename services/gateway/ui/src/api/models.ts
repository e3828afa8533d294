import { request } from './http'
import type { Rate } from './quality'
import type * as api from './types'

export type State = api.ModelState

/** A kind of image that may have a model of its own. */
export type Kind = 'flair' | 't1_contrast'

/** Scans that a version answers; no kind: every kind that has no model of its own. */
export type Route = api.ModelRoute

/** A figure with its 95 % interval. */
export interface Figure {
  value: number
  low: number
  high: number
}

/** What a version came to on the gate set's cases of one kind of image; `unknown`: their headers say nothing of it. */
export interface KindEvaluation {
  image_kind: string
  dice: Figure
  far: Figure
  frr: Figure
}

/** What a version came to on the gate set. */
export interface Evaluation {
  gate_set: string
  device: string
  failure: string | null
  dice: Figure
  far: Figure
  frr: Figure
  kinds: KindEvaluation[]
  kinds_without_cases: string[]
  ms_per_slice: number
  golden_dice: number | null
}

/** A version of a model as the gateway describes it. */
export interface Version {
  name: string
  version: string
  state: State
  files: { name: string; sha256: string; size_bytes: number }[]
  modalities: string[]
  source: string | null
  git_commit: string | null
  data_version: string | null
  registered_ms: number
  registered_by: string
  evaluation: Evaluation | null
  forced_because: string | null
  serves: Route[]
  shadow_kind: string | null
}

/** One of the gate's checks. */
export interface Check {
  name: string
  image_kind: string | null
  passed: boolean
  advisory: boolean
  words: string
  candidate: number | null
  serving: number | null
}

/** A rate of a version and of what served, on the same scans. */
export interface ConfirmedRate {
  candidate: Rate
  serving: Rate
}

/** What both came to on the hospital's confirmed scans of one kind of image, or (null) of all. */
export interface ConfirmedFigures {
  serving_name: string
  serving_version: string
  image_kind: string | null
  scans: number
  far: ConfirmedRate
  frr: ConfirmedRate
}

/** A version that looked on beside what served, by what readers say of the scans. */
export interface Confirmed {
  figures: ConfirmedFigures[]
  compared: number
  confirmed: number
  scans_min: number
}

/** What is done to a version. */
export type Change = 'promote' | 'roll-back' | 'shadow' | 'retire'

export async function listVersions(): Promise<Version[]> {
  const response = await request('v1/models')
  return ((await response.json()) as { versions: Version[] }).versions
}

export async function getCard({ name, version }: Version): Promise<string> {
  return (await request(`${pathOf(name, version)}/files/card.md`)).text()
}

/** Nothing where it could not be told. */
export async function getConfirmed({ name, version }: Version): Promise<Confirmed | null> {
  const response = await request(`${pathOf(name, version)}/shadow`)
  return ((await response.json()) as { confirmed: Confirmed | null }).confirmed
}

/** At scans of that kind only, or (null) at every kind that has no model of its own. Answers with what the gate found, where it was asked. */
export async function change(of: Version, what: Change, reason: string, kind: string | null, force = false): Promise<readonly Check[]> {
  const meant = { reason, image_kind: kind }
  const body = what === 'promote' ? { ...meant, force } : meant
  const response = await request(`${pathOf(of.name, of.version)}/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return ((await response.json()) as { checks?: readonly Check[] }).checks ?? []
}

function pathOf(name: string, version: string): string {
  return `v1/models/${encodeURIComponent(name)}/${encodeURIComponent(version)}`
}
