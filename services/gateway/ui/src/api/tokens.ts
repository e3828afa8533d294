import { noConnection, problemOf } from './problem'

export interface Tokens {
  access_token: string
  expires_in: number
  refresh_token: string
}

export function signIn(userName: string, password: string): Promise<Tokens> {
  return grant({ grant_type: 'password', username: userName, password })
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
async function post(path: string, fields: Record<string, string>): Promise<Response> {
  const body = new URLSearchParams(fields)
  const response = await fetch(path, { method: 'POST', body, cache: 'no-store' }).catch(() => {
    throw noConnection()
  })
  if (response.ok) return response
  throw problemOf(response.status, await response.text().catch(() => ''))
}
