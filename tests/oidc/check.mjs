// What a browser and an administrator see of a sign-in through a hospital's provider.
//
// node check.mjs URL USER PASSWORD ISSUER CLIENT SECRET ALGORITHM
import assert from 'node:assert/strict'

const [url, user, password, issuer, client, secret, algorithm] = process.argv.slice(2)
const NAME = 'check'

/** A browser without pages: it keeps cookies by host, and goes where it is sent. */
class Browser {
  #jar = new Map()

  async get(address) {
    return this.#ask(address, { method: 'GET' })
  }

  async post(address, form) {
    return this.#ask(address, { method: 'POST', body: new URLSearchParams(form) })
  }

  async #ask(address, init) {
    const { host } = new URL(address)
    const own = this.#jar.get(host) ?? new Map()
    const cookie = [...own].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(address, { ...init, redirect: 'manual', headers: { cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [pair] = line.split(';')
      const [name, ...rest] = pair.split('=')
      own.set(name, rest.join('='))
    }
    this.#jar.set(host, own)
    return response
  }

  cookieOf(address) {
    return [...(this.#jar.get(new URL(address).host) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ')
  }
}

async function answered(response) {
  const text = await response.text()
  return [response.status, text ? JSON.parse(text) : undefined]
}

function called(method, path, token, body) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  return fetch(`${url}${path}`, { method, headers, body: body && JSON.stringify(body) }).then(answered)
}

function token(fields) {
  return fetch(`${url}/v1/token`, { method: 'POST', body: new URLSearchParams(fields) }).then(answered)
}

/** Goes through the provider's own pages as that person; what it sends the browser back with. */
async function through(browser, person) {
  let response = await browser.get(`${url}/v1/sign-in/${NAME}`)
  assert.equal(response.status, 303, await response.clone().text())
  for (let step = 0; step < 20; step += 1) {
    const location = response.headers.get('location')
    if (location) {
      const next = new URL(location, response.url)
      if (next.pathname.endsWith('/callback')) return next
      response = await browser.get(next.href)
      continue
    }
    // A page that asks: who, and whether they agree.
    const page = await response.text()
    const form = { prompt: page.includes('value="login"') ? 'login' : 'consent', login: person, password: 'any' }
    const action = /<form[^>]*action="([^"]+)"/.exec(page)?.[1] ?? response.url
    response = await browser.post(new URL(action, response.url).href, form)
  }
  throw new Error('the provider asks on and on')
}

/** The same to the end: what the gateway answers, and what it was asked. */
async function signedIn(browser, person) {
  const back = await through(browser, person)
  // Where browsers reach the page is a name here, and its port another's.
  const brought = await browser.get(`${url}${back.pathname}${back.search}`)
  assert.equal(brought.status, 303)
  const fragment = brought.headers.get('location')
  assert.match(fragment, new RegExp(`^/#/signed-in/${NAME}\\?`))
  const { state, code, iss } = Object.fromEntries(new URLSearchParams(fragment.split('?')[1]))
  const asked = { state, code, ...(iss ? { iss } : {}) }
  return { asked, answer: await finished(asked, browser.cookieOf(url)) }
}

function finished(asked, cookie) {
  const headers = { 'content-type': 'application/json', cookie }
  return fetch(`${url}/v1/sign-in/${NAME}`, { method: 'POST', headers, body: JSON.stringify(asked) }).then(answered)
}

async function until(what, condition) {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await condition()) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`never: ${what}`)
}

function payload(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())
}

const [, admin] = await token({ grant_type: 'password', username: user, password })
const toBe = {
  name: NAME,
  issuer,
  client_id: client,
  client_secret: secret,
  rules: {
    algorithms: [algorithm],
    scopes: ['email', 'groups'],
    roles_claim: 'groups',
    roles: { readers: 'clinician' },
    domains: ['hospital.example'],
    session_minutes: 30,
  },
}
const [named, provider] = await called('PUT', '/v1/provider', admin.access_token, toBe)
assert.equal(named, 200, JSON.stringify(provider))
assert.ok(provider.has_secret && !('client_secret' in provider))

const browser = new Browser()
const { asked, answer } = await signedIn(browser, 'ada')
const [status, tokens] = answer
assert.equal(status, 200, JSON.stringify(tokens))
assert.equal(payload(tokens.access_token).name, 'ada@hospital.example')
assert.deepEqual(payload(tokens.access_token).roles, ['clinician'])
assert.equal((await called('GET', '/v1/scans', tokens.access_token))[0], 200)
assert.equal((await called('GET', '/v1/users', tokens.access_token))[0], 403)

// Once, and by that browser.
assert.equal((await finished(asked, browser.cookieOf(url)))[0], 401)
const other = new Browser()
const back = await through(other, 'ada')
const stolen = Object.fromEntries(new URLSearchParams(back.search))
assert.equal((await finished({ state: stolen.state, code: stolen.code }, browser.cookieOf(url)))[0], 401)
assert.equal((await finished({ state: stolen.state, code: stolen.code }, ''))[0], 401)

// Whose group has no role stays out, and no account is made.
assert.equal((await signedIn(new Browser(), 'grace')).answer[0], 403)
const [, { users }] = await called('GET', '/v1/users', admin.access_token)
assert.deepEqual(users.map((one) => one.user_name).sort(), ['ada@hospital.example', user].sort())

// The provider ends what it knows of: by its own page, which posts a logout token.
const page = await (await browser.get(`${issuer}/session/end`)).text()
const xsrf = /name="xsrf" value="([^"]+)"/.exec(page)[1]
await browser.post(`${issuer}/session/end/confirm`, { xsrf, logout: 'yes' })
const refresh = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
let renewed = refresh
await until('the session has ended', async () => {
  const [code, next] = await token(renewed)
  if (code === 200) renewed = { ...refresh, refresh_token: next.refresh_token }
  return code === 401
})
const forged = new URLSearchParams({ logout_token: tokens.access_token })
assert.equal((await fetch(`${url}/v1/sign-in/${NAME}/logout`, { method: 'POST', body: forged })).status, 400)

assert.equal((await called('DELETE', '/v1/provider', admin.access_token))[0], 204)
assert.equal((await fetch(`${url}/v1/sign-in/${NAME}`, { redirect: 'manual' })).status, 404)
console.log(`oidc: ${algorithm}: signed in once by one browser, with the roles of one's groups, until the provider ends it`)
