import { request } from './http'
import { got, sent } from './json'

export interface SecurityKey {
  id: string
  name: string
  created_at: string | null
  /** Nothing: never. */
  used_at: string | null
}

export interface SecurityKeys {
  keys: readonly SecurityKey[]
  /** Whether the installation knows by which name browsers reach it. */
  offered: boolean
}

/** What is shown beside a password. */
export interface Proof {
  one_time_code?: string
  security_key?: string
}

const OWN = 'v1/account/security-keys'
const of = (userId: string) => `v1/users/${encodeURIComponent(userId)}/security-keys`

export function listKeys(): Promise<SecurityKeys> {
  return got(OWN)
}

export async function beginKey(password: string, proof: Proof): Promise<PublicKeyCredentialCreationOptionsJSON> {
  const body = { password, ...proof }
  return (await sent<{ options: PublicKeyCredentialCreationOptionsJSON }>('POST', `${OWN}/options`, body)).options
}

/** Registers what a browser has made; answers codes for recovery where it is the first factor. */
export async function addKey(name: string, made: string): Promise<readonly string[]> {
  return (await sent<{ recovery_codes: string[] }>('POST', OWN, { name, made })).recovery_codes
}

export async function challengeKeys(): Promise<PublicKeyCredentialRequestOptionsJSON> {
  return (await sent<{ options: PublicKeyCredentialRequestOptionsJSON }>('POST', `${OWN}/challenge`)).options
}

export function removeKey(id: string, password: string, proof: Proof): Promise<void> {
  return sent('POST', `${OWN}/${encodeURIComponent(id)}/remove`, { password, ...proof })
}

export async function listKeysOf(userId: string): Promise<readonly SecurityKey[]> {
  return (await got<SecurityKeys>(of(userId))).keys
}

/** Takes away one that somebody else has lost. Why stands in the audit trail. */
export async function removeKeyOf(userId: string, id: string, why: string): Promise<void> {
  // A header has no letters but those of ASCII.
  const headers = { 'medseg-reason': encodeURIComponent(why) }
  await request(`${of(userId)}/${encodeURIComponent(id)}`, { method: 'DELETE', headers })
}
