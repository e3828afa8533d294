/** The headers of somebody who signs in past the page. */
export async function signedIn(url, name, secret) {
  const form = new URLSearchParams({ grant_type: 'password', username: name, password: secret })
  const { access_token } = await (await fetch(new URL('v1/token', url), { method: 'POST', body: form })).json()
  return { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' }
}
