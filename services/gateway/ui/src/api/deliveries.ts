import { got, sent } from './json'

/** What may be pushed to each kind of destination. */
export const FORMATS = {
  webhook: ['cloudevent', 'result.json'],
  stow: ['seg.dcm', 'sr.dcm', 'text.dcm', 'capture.dcm', 'report.dcm'],
  cstore: ['seg.dcm', 'sr.dcm', 'text.dcm', 'capture.dcm', 'report.dcm'],
  mllp: ['report.hl7'],
  fhir: ['report.fhir.json'],
} as const
export type Kind = keyof typeof FORMATS

/** What an address of each kind begins with. */
export const ADDRESSES: Record<Kind, string> = {
  webhook: 'https://',
  stow: 'https://',
  cstore: 'dicoms://',
  mllp: 'mllps://',
  fhir: 'https://',
}

/** Kinds that are given a secret; the others are known by their address. */
const WITH_SECRET = ['webhook', 'stow', 'fhir'] as const
export type KindWithSecret = (typeof WITH_SECRET)[number]

export function hasSecret(kind: Kind): kind is KindWithSecret {
  return (WITH_SECRET as readonly Kind[]).includes(kind)
}

export const DELIVERY_STATES = ['waiting', 'delivered', 'failed'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

/** Which of them an address asks for; empty: all. */
export function deliveryStateIn(query: string): DeliveryState | '' {
  const asked = new URLSearchParams(query).get('state')
  return DELIVERY_STATES.find((state) => state === asked) ?? ''
}

export interface Destination {
  id: string
  name: string
  kind: Kind
  url: string
  formats: string[]
  enabled: boolean
  waiting: number
  failed: number
  /** As RFC 3339 writes it; nothing: the last attempt has not failed. */
  resumes_at: string | null
  called_ae_title: string | null
  calling_ae_title: string | null
  /** What it has said that it takes and what not, in the server's words. */
  takes: string | null
}

export interface NewDestination {
  name: string
  kind: Kind
  url: string
  formats: readonly string[]
  /** Nothing: of a webhook one is made. */
  secret: string | null
  /** Of C-STORE alone. */
  called_ae_title: string | null
  /** Of C-STORE alone; nothing: medseg's own. */
  calling_ae_title: string | null
}

/** With the secret that was made, if one was: it is told this once. */
export type DestinationMade = Destination & { secret: string | null }

/** Events that are pushed as they are, by type. */
export type DeliveredEvent = 'drift.detected' | 'drift.cleared'

export interface Delivery {
  id: string
  /** Nothing: it is of an event, which is of no scan. */
  scan_id: string | null
  /** Nothing: it is of a scan. */
  event: string | null
  destination: string
  formats: string[]
  state: DeliveryState
  attempts: number
  made_at: string | null
  due_at: string | null
  ended_at: string | null
  /** Why the last attempt has failed, in the server's words. */
  words: string
}

export interface DeliveryPage {
  /** The newest first. */
  deliveries: Delivery[]
  next_cursor: string | null
}

const destination = (id: string) => `v1/destinations/${encodeURIComponent(id)}`

export async function listDestinations(): Promise<Destination[]> {
  return (await got<{ destinations: Destination[] }>('v1/destinations')).destinations
}

export function makeDestination(made: NewDestination): Promise<DestinationMade> {
  return sent('POST', 'v1/destinations', made)
}

export function enableDestination(id: string, enabled: boolean): Promise<Destination> {
  return sent('PATCH', destination(id), { enabled })
}

export function removeDestination(id: string): Promise<void> {
  return sent('DELETE', destination(id))
}

export function listDeliveries(state: DeliveryState | '', cursor: string, limit: number): Promise<DeliveryPage> {
  const query = new URLSearchParams({ limit: String(limit) })
  if (state) query.set('state', state)
  if (cursor) query.set('cursor', cursor)
  return got(`v1/deliveries?${query}`)
}

export function sendAgain(id: string): Promise<Delivery> {
  return sent('POST', `v1/deliveries/${encodeURIComponent(id)}/again`)
}
