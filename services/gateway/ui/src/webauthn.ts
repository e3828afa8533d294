import { Problem } from './api/problem'
import { words } from './words/table'

/** The name of the problem that is a key’s, or its owner’s: nobody has refused anything. */
export const NO_KEY = 'no-key'

/** Whether this browser can ask a security key: only where the page is reached by TLS, or is this machine’s. */
export function canAskKeys(): boolean {
  return 'credentials' in navigator && typeof PublicKeyCredential === 'function'
}

/** A new key, as the server is told of it. */
export async function madeKey(options: PublicKeyCredentialCreationOptionsJSON): Promise<string> {
  return told(() => navigator.credentials.create({ publicKey: creation(options) }))
}

/** What a key answers, as the server is told it. */
export async function answerOfKey(options: PublicKeyCredentialRequestOptionsJSON): Promise<string> {
  return told(() => navigator.credentials.get({ publicKey: question(options) }))
}

async function told(ask: () => Promise<Credential | null>): Promise<string> {
  try {
    const credential = canAskKeys() ? await ask() : null
    if (credential) return jsonOf(credential as PublicKeyCredential)
  } catch {
    // Why, no browser says: whoever waits before it has seen it.
  }
  const { failed, failedHint } = words.securityKeys
  throw new Problem({ status: 409, name: NO_KEY, title: failed, detail: failedHint })
}

function creation(options: PublicKeyCredentialCreationOptionsJSON): PublicKeyCredentialCreationOptions {
  if (typeof PublicKeyCredential.parseCreationOptionsFromJSON === 'function') {
    return PublicKeyCredential.parseCreationOptionsFromJSON(options)
  }
  const { user, challenge, excludeCredentials } = options
  return {
    ...options,
    user: { ...user, id: bytesOf(user.id) },
    challenge: bytesOf(challenge),
    excludeCredentials: named(excludeCredentials),
  } as unknown as PublicKeyCredentialCreationOptions
}

function question(options: PublicKeyCredentialRequestOptionsJSON): PublicKeyCredentialRequestOptions {
  if (typeof PublicKeyCredential.parseRequestOptionsFromJSON === 'function') {
    return PublicKeyCredential.parseRequestOptionsFromJSON(options)
  }
  const { challenge, allowCredentials } = options
  const asked: unknown = { ...options, challenge: bytesOf(challenge), allowCredentials: named(allowCredentials) }
  return asked as PublicKeyCredentialRequestOptions
}

function named(keys: PublicKeyCredentialDescriptorJSON[] = []) {
  return keys.map((key) => ({ ...key, id: bytesOf(key.id) }))
}

function jsonOf(credential: PublicKeyCredential): string {
  if (typeof credential.toJSON === 'function') return JSON.stringify(credential.toJSON())
  const response: Record<string, unknown> = {}
  const parts = credential.response as unknown as Record<string, unknown>
  for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
    const part = parts[name]
    if (part instanceof ArrayBuffer) response[name] = textOf(part)
  }
  return JSON.stringify({ id: credential.id, rawId: credential.id, type: credential.type, response, clientExtensionResults: {} })
}

/** What base64url says (RFC 4648, section 5), without padding. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (sign) => sign.charCodeAt(0))
}

/** The same the other way. */
export function textOf(bytes: ArrayBuffer): string {
  const text = btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(''))
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
