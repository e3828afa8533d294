import { request } from './http'
import type { Proof } from './keys'
import { got, sent } from './json'

/** What an app is to be told that makes one-time passwords. */
export interface SecondFactor {
  secret: string
  address: string
}

export function beginFactor(password: string, proof: Proof): Promise<SecondFactor> {
  return sent('POST', 'v1/account/second-factor', { password, ...proof })
}

/** Shows that it works; answers codes for recovery. */
export async function confirmFactor(code: string): Promise<string[]> {
  return (await sent<{ codes: string[] }>('POST', 'v1/account/second-factor/codes', { one_time_code: code })).codes
}

export function removeFactor(password: string, proof: Proof): Promise<void> {
  return sent('POST', 'v1/account/second-factor/remove', { password, ...proof })
}

/** As few characters as say why, and as many as are kept. */
export const REASON_CHARS = { min: 3, max: 500 } as const

/** Takes away the one that somebody else has lost, with their codes. Why stands in the audit trail. */
export async function removeFactorOf(userId: string, why: string): Promise<void> {
  // A header has no letters but those of ASCII.
  const headers = { 'medseg-reason': encodeURIComponent(why) }
  await request(`v1/users/${encodeURIComponent(userId)}/second-factor`, { method: 'DELETE', headers })
}

export interface SignInRules {
  second_factor_required: boolean
}

export function getRules(): Promise<SignInRules> {
  return got('v1/sign-in-rules')
}

export function setRules(rules: SignInRules): Promise<SignInRules> {
  return sent('PUT', 'v1/sign-in-rules', rules)
}
