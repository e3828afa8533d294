// A hospital's provider of identities: npm's certified oidc-provider, on a port of its own, with one client and two people.
//
// node provider.mjs PORT CLIENT SECRET REDIRECT LOGOUT ALGORITHM
import { generateKeyPairSync } from 'node:crypto'
import Provider from 'oidc-provider'

const [port, client, secret, redirect, logout, algorithm] = process.argv.slice(2)
const issuer = `http://127.0.0.1:${port}`

const PEOPLE = {
  ada: { email: 'ada@hospital.example', email_verified: true, groups: ['readers'] },
  grace: { email: 'grace@hospital.example', email_verified: true, groups: ['nobody'] },
}

/** A private key, as the provider is told it. */
function key(kind, options, alg) {
  const { privateKey } = generateKeyPairSync(kind, options)
  return { ...privateKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig' }
}

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: client,
      client_secret: secret,
      redirect_uris: [redirect],
      backchannel_logout_uri: logout,
      backchannel_logout_session_required: true,
      id_token_signed_response_alg: algorithm,
    },
  ],
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256'), key('ec', { namedCurve: 'P-256' }, 'ES256')] },
  cookies: { keys: ['of a check, and of nobody else'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  scopes: ['openid', 'email', 'groups'],
  // So that they are in the ID token itself.
  conformIdTokenClaims: false,
  features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
  // Its guard of outgoing requests lets nothing through to this machine, where all of a check is.
  fetch: (address, { dispatcher: _, ...options }) => fetch(address, options),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) }),
})

provider.on('server_error', (_, error) => console.error(error))
provider.on('backchannel.error', (_, error) => console.error(error))
provider.listen(Number(port), '127.0.0.1', () => console.log(`provider answers on ${issuer}`))
