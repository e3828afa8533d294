import { got, sent } from './json'
import { Problem } from './problem'

/** A hospital's own provider of identities. */
export interface Provider {
  name: string
  issuer: string
  client_id: string
  has_secret: boolean
  passwords: boolean
  rules: Record<string, unknown>
  redirect_url: string
  logout_url: string
}

export interface ProviderToBe {
  name: string
  issuer: string
  client_id: string
  /** Left out: it stays. */
  client_secret?: string
  passwords: boolean
  rules: Record<string, unknown>
}

/** The provider; nothing where the hospital has none. */
export async function getProvider(): Promise<Provider | undefined> {
  try {
    return await got<Provider>('v1/provider')
  } catch (cause) {
    if (cause instanceof Problem && cause.status === 404) return undefined
    throw cause
  }
}

export function setProvider(toBe: ProviderToBe): Promise<Provider> {
  return sent('PUT', 'v1/provider', toBe)
}

export function removeProvider(): Promise<void> {
  return sent('DELETE', 'v1/provider')
}
