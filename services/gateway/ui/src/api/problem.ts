import { words } from '../words/table'
import type { Check } from './models'

/** What the server refused, or what went wrong on the way to it, in words (RFC 9457). */
export class Problem extends Error {
  readonly status: number
  /** The stable name of the problem: the last part of `type`, such as `too-small`. */
  readonly name: string
  readonly title: string
  readonly detail: string
  /** What the gate found of a model that may not serve. */
  readonly checks: readonly Check[]
  /** What an app is to be told of a second factor that is asked for and not there yet; empty: nothing. */
  readonly secondFactor: string
  /** What a security key is to be asked, where a second factor is asked for and there is one. */
  readonly securityKey: PublicKeyCredentialRequestOptionsJSON | null

  constructor(fields: {
    status: number
    name: string
    title: string
    detail: string
    checks?: readonly Check[]
    secondFactor?: string
    securityKey?: PublicKeyCredentialRequestOptionsJSON | null
  }) {
    super(`${fields.title}: ${fields.detail}`)
    this.status = fields.status
    this.name = fields.name
    this.title = fields.title
    this.detail = fields.detail
    this.checks = fields.checks ?? []
    this.secondFactor = fields.secondFactor ?? ''
    this.securityKey = fields.securityKey ?? null
  }

  /** Whether the same request may succeed later, unchanged. */
  get transient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

/** The problem in a response's body, or the best that can be said without one. */
export function problemOf(status: number, body: string): Problem {
  const fields = parsed(body)
  const type = text(fields.type)
  return new Problem({
    status,
    name: type.split(/[/:#]/).at(-1) ?? '',
    title: sentence(text(fields.title) || words.problem.status(status)),
    detail: sentence(text(fields.detail)),
    checks: Array.isArray(fields.checks) ? (fields.checks as Check[]) : [],
    secondFactor: text(fields.second_factor),
    securityKey: (fields.security_key ?? null) as PublicKeyCredentialRequestOptionsJSON | null,
  })
}

export function noConnection(): Problem {
  return new Problem({
    status: 0,
    name: 'no-connection',
    title: words.problem.noConnection,
    detail: words.problem.noConnectionHint,
  })
}

/** Any caught value as a problem; what is none of ours is a failed connection. */
export function asProblem(cause: unknown): Problem {
  return cause instanceof Problem ? cause : noConnection()
}

function parsed(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body)
    return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

// The services' messages are lower case without a full stop; a reader sees sentences.
function sentence(said: string): string {
  return said.charAt(0).toUpperCase() + said.slice(1)
}
