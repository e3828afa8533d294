import { request } from './http'

/** The JSON that is at that path. */
export async function got<T>(path: string): Promise<T> {
  return (await (await request(path)).json()) as T
}

/** What that JSON does at that path. */
export async function sent<T>(method: string, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method }
  if (body !== undefined) {
    init.headers = { 'content-type': 'application/json' }
    init.body = JSON.stringify(body)
  }
  const response = await request(path, init)
  return (response.status === 204 ? undefined : await response.json()) as T
}
