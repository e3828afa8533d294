import { noConnection, problemOf } from './problem'

export interface Tokens {
  access_token: string
  expires_in: number
  refresh_token: string
  /** Codes for recovery, shown this once, where the sign-in has shown that a second factor works. */
  recovery_codes?: string[]
}

/** Signs in, with another password from now on where one is named, and with a code or the answer of a key where there is a second factor. */
export function signIn(userName: string, password: string, newPassword = '', code = '', key = ''): Promise<Tokens> {
  const fields: Record<string, string> = { grant_type: 'password', username: userName, password }
  if (newPassword) fields.new_password = newPassword
  if (code) fields.one_time_code = code
  if (key) fields.security_key = key
  return grant(fields)
}

/** What a hospital's provider has sent the browser back with. */
export interface ProviderAnswer {
  state: string
  code: string
  iss?: string
}

/** Where a sign-in through a hospital's provider begins: an address to go to. */
export function providerHref(name: string): string {
  return `v1/sign-in/${encodeURIComponent(name)}`
}

/** Signs in with what the provider has said. The cookie that was set at the beginning goes along. */
export async function signInBy(name: string, answer: ProviderAnswer): Promise<Tokens> {
  return (await (await posted(providerHref(name), answer)).json()) as Tokens
}

/** Sets the password of whom a link was made for; answers their user name. */
export async function useLink(token: string, password: string): Promise<string> {
  const response = await posted('v1/password-links/use', { token, password })
  return ((await response.json()) as { user_name: string }).user_name
}

/** Each refresh token works once: the answer holds the next one. */
export function refresh(refreshToken: string): Promise<Tokens> {
  return grant({ grant_type: 'refresh_token', refresh_token: refreshToken })
}

export async function revoke(refreshToken: string): Promise<void> {
  await post('v1/token/revoke', { token: refreshToken })
}

async function grant(fields: Record<string, string>): Promise<Tokens> {
  const response = await post('v1/token', fields)
  return (await response.json()) as Tokens
}

// RFC 6749 wants a form.
function post(path: string, fields: Record<string, string>): Promise<Response> {
  return fetched(path, { body: new URLSearchParams(fields) })
}

function posted(path: string, body: unknown): Promise<Response> {
  return fetched(path, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
}

async function fetched(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(path, { method: 'POST', cache: 'no-store', ...init }).catch(() => {
    throw noConnection()
  })
  if (response.ok) return response
  throw problemOf(response.status, await response.text().catch(() => ''))
}
