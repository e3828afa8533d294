import type { PasswordLink } from './accounts'
import { got, sent } from './json'

export type TenantState = 'active' | 'suspended' | 'closed'

export interface Tenant {
  id: string
  name: string
  state: TenantState
  languages: string[]
  users_max: number
  clients_max: number
  users: number
  clients: number
}

export async function listTenants(): Promise<Tenant[]> {
  return (await got<{ tenants: Tenant[] }>('v1/tenants')).tenants
}

export function makeTenant(
  name: string,
  adminUserName: string,
  languages: readonly string[],
): Promise<{ tenant: Tenant; invitation: PasswordLink }> {
  return sent('POST', 'v1/tenants', { name, admin_user_name: adminUserName, languages })
}

export function setTenantState(id: string, state: TenantState): Promise<Tenant> {
  return sent('PUT', `v1/tenants/${encodeURIComponent(id)}/state`, { state })
}

/** The settings and accounts of a hospital, as a file. */
export async function exportTenant(id: string): Promise<string> {
  return JSON.stringify(await got(`v1/tenants/${encodeURIComponent(id)}/export`), null, 2)
}
