import { noConnection, problemOf } from './problem'

export interface Tokens {
  access_token: string
  expires_in: number
  refresh_token: string
}

/** Signs in, with another password from now on where one is named. */
export function signIn(userName: string, password: string, newPassword = ''): Promise<Tokens> {
  const fields: Record<string, string> = { grant_type: 'password', username: userName, password }
  if (newPassword) fields.new_password = newPassword
  return grant(fields)
}

/** Sets the password of whom a link was made for; answers their user name. */
export async function useLink(token: string, password: string): Promise<string> {
  const response = await fetch('v1/password-links/use', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, password }),
    cache: 'no-store',
  }).catch(() => {
    throw noConnection()
  })
  if (!response.ok) throw problemOf(response.status, await response.text().catch(() => ''))
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
async function post(path: string, fields: Record<string, string>): Promise<Response> {
  const body = new URLSearchParams(fields)
  const response = await fetch(path, { method: 'POST', body, cache: 'no-store' }).catch(() => {
    throw noConnection()
  })
  if (response.ok) return response
  throw problemOf(response.status, await response.text().catch(() => ''))
}
