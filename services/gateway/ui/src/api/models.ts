import { request } from './http'
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
  words: string
  candidate: number | null
  serving: number | null
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

/** At scans of that kind only, or (null) at every kind that has no model of its own. */
export async function change(of: Version, what: Change, reason: string, kind: string | null, force = false): Promise<void> {
  const meant = { reason, image_kind: kind }
  const body = what === 'promote' ? { ...meant, force } : meant
  await request(`${pathOf(of.name, of.version)}/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

function pathOf(name: string, version: string): string {
  return `v1/models/${encodeURIComponent(name)}/${encodeURIComponent(version)}`
}
