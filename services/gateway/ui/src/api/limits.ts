import { got, sent } from './json'

/** How much may be sent; nothing: as much as comes. */
export interface NewLimits {
  scans_per_day: number | null
  bytes_per_day: number | null
  /** Scans that wait or are analysed at a time. */
  jobs: number | null
  /** Of all that is kept of a hospital's scans. */
  stored_bytes: number | null
}

export interface Limits extends NewLimits {
  /** What is stored is counted of a hospital only. */
  used: { scans: number; bytes: number; jobs: number; stored_bytes: number | null }
}

const UNLIMITED: Limits = {
  scans_per_day: null,
  bytes_per_day: null,
  jobs: null,
  stored_bytes: null,
  used: { scans: 0, bytes: 0, jobs: 0, stored_bytes: null },
}

const tenant = (id: string) => `v1/tenants/${encodeURIComponent(id)}/limits`

export function tenantLimits(id: string): Promise<Limits> {
  return got(tenant(id))
}

export function setTenantLimits(id: string, limits: NewLimits): Promise<Limits> {
  return sent('PUT', tenant(id), limits)
}

/** Those of one program of the hospital. */
export async function clientLimits(id: string): Promise<Limits> {
  const { clients } = await got<{ clients: { client_id: string; limits: Limits }[] }>('v1/limits')
  return clients.find((one) => one.client_id === id)?.limits ?? UNLIMITED
}

export function setClientLimits(id: string, limits: NewLimits): Promise<Limits> {
  return sent('PUT', `v1/clients/${encodeURIComponent(id)}/limits`, limits)
}
