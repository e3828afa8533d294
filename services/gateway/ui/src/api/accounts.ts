import { endOf } from '../period'
import { got, sent } from './json'
import type { Scope } from './types'

export type { Scope } from './types'

/** What a hospital's administrator can give. */
export const ROLES = ['clinician', 'adjudicator', 'integrator', 'scientist', 'admin'] as const
export type Role = (typeof ROLES)[number]

export type UserState = 'invited' | 'active' | 'disabled'

export interface User {
  id: string
  user_name: string
  roles: string[]
  state: UserState
  /** As RFC 3339 writes it; nothing: never. */
  signed_in_at: string | null
}

/** What sets a password once. */
export interface PasswordLink {
  user: User
  token: string
  expires_at: string | null
}

export interface Session {
  id: string
  begun_at: string | null
  expires_at: string | null
  place: string
}

export interface Client {
  client_id: string
  name: string
  roles: string[]
  scopes: string[]
  disabled: boolean
  expires_at: string | null
  used_at: string | null
  rotating: boolean
}

export interface NewSecret {
  client_id: string
  client_secret: string
  name: string
}

export interface Account {
  user: User
  tenant: string
  languages: string[]
  has_second_factor: boolean
  second_factor_required: boolean
}

const user = (id: string) => `v1/users/${encodeURIComponent(id)}`
const client = (id: string) => `v1/clients/${encodeURIComponent(id)}`

export async function listUsers(): Promise<User[]> {
  return (await got<{ users: User[] }>('v1/users')).users
}

export function invite(userName: string, roles: readonly string[]): Promise<PasswordLink> {
  return sent('POST', 'v1/invitations', { user_name: userName, roles })
}

export function changeUser(id: string, change: { roles?: readonly string[]; disabled?: boolean }): Promise<User> {
  return sent('PATCH', user(id), change)
}

export function deleteUser(id: string): Promise<void> {
  return sent('DELETE', user(id))
}

export function passwordLink(id: string): Promise<PasswordLink> {
  return sent('POST', `${user(id)}/password-link`)
}

export async function listClients(): Promise<Client[]> {
  return (await got<{ clients: Client[] }>('v1/clients')).clients
}

/** The sections of the API that a client may be confined to. */
export const SCOPES = [
  'scans', 'results', 'feedback', 'dataset', 'incidents', 'batches', 'uploads', 'models', 'drift', 'quality', 'deliveries',
] as const satisfies readonly Scope[]

/** What a client to be is; without scopes it may do whatever its roles allow, without a last day it does so for ever. */
export interface NewClient {
  name: string
  roles: readonly string[]
  scopes: readonly string[]
  /** As `2026-11-27`, counted in UTC; empty: none. */
  lastDay: string
}

export function makeClient({ name, roles, scopes, lastDay }: NewClient): Promise<NewSecret> {
  return sent('POST', 'v1/clients', { name, roles, scopes, ...expiring(lastDay) })
}

export function endClient(id: string, lastDay: string): Promise<Client> {
  return sent('PATCH', client(id), expiring(lastDay))
}

/** From when on a client whose last day that is cannot sign in any more. */
function expiring(lastDay: string): { expires_at?: string } {
  const ms = endOf({ from: '', to: lastDay })
  return ms === undefined ? {} : { expires_at: new Date(ms).toISOString() }
}

export function disableClient(id: string, disabled: boolean): Promise<Client> {
  return sent('PATCH', client(id), { disabled })
}

export function deleteClient(id: string): Promise<void> {
  return sent('DELETE', client(id))
}

export function rotateClient(id: string): Promise<NewSecret> {
  return sent('POST', `${client(id)}/rotation`)
}

export function endRotation(id: string): Promise<Client> {
  return sent('DELETE', `${client(id)}/rotation`)
}

export function getAccount(): Promise<Account> {
  return got('v1/account')
}

export async function listSessions(): Promise<Session[]> {
  return (await got<{ sessions: Session[] }>('v1/account/sessions')).sessions
}

export function endSession(id: string): Promise<void> {
  return sent('DELETE', `v1/account/sessions/${encodeURIComponent(id)}`)
}
