import { Problem, asProblem } from '../api/problem'
import { refresh, revoke, signIn, type Tokens } from '../api/tokens'
import { words } from '../words/table'

const KEPT = 'medseg.session'
/** How long before its end a token is renewed. */
const MARGIN_MS = 60_000

interface Kept {
  refresh_token: string
  user_name: string
}

/**
 * Who is signed in, in this tab.
 *
 * The access token lives in memory only; the refresh token in `sessionStorage`, so that a reload keeps
 * the session and closing the tab ends it.
 */
class Session {
  phase = $state<'restoring' | 'out' | 'in'>('restoring')
  userName = $state('')
  /** What the access token says that its bearer may do; whoever decides is the server. */
  roles = $state.raw<readonly string[]>([])
  /** Why the sign-in form is shown again, when nobody asked for it. */
  notice = $state('')

  #access = ''
  #expiresAt = 0
  #renewal: Promise<void> | undefined
  #timer = 0

  /** Takes up the session of before a reload. */
  async restore(): Promise<void> {
    if (!kept()) return this.#end('')
    await this.#renew().catch(() => undefined)
  }

  async signIn(userName: string, password: string, newPassword = ''): Promise<void> {
    this.#keep(await signIn(userName, password, newPassword), userName)
    this.notice = ''
    this.phase = 'in'
  }

  async signOut(): Promise<void> {
    const token = kept()?.refresh_token
    this.#end('')
    // The tab forgets at once; that the server could not be told is no reason to stay signed in.
    if (token) await revoke(token).catch(() => undefined)
  }

  /** An access token that is good for now. */
  async token(): Promise<string> {
    if (Date.now() > this.#expiresAt - MARGIN_MS / 2) await this.#renew()
    return this.#access
  }

  /** A token other than `refused`, which the server no longer takes. */
  async renewed(refused: string): Promise<string> {
    if (this.#access === refused) await this.#renew()
    return this.#access
  }

  // One renewal at a time: a refresh token used twice counts as stolen and ends the session.
  #renew(): Promise<void> {
    this.#renewal ??= this.#exchange().finally(() => (this.#renewal = undefined))
    return this.#renewal
  }

  async #exchange(): Promise<void> {
    const session = kept()
    if (!session) throw this.#expired()
    try {
      const tokens = await refresh(session.refresh_token)
      // Signed out while the answer was on its way: stay so.
      if (kept()?.refresh_token !== session.refresh_token) throw this.#expired()
      this.#keep(tokens, session.user_name)
      this.phase = 'in'
    } catch (cause) {
      const problem = asProblem(cause)
      if (!problem.transient) throw this.#expired()
      if (this.phase === 'restoring') this.#pause(problem)
      throw problem
    }
  }

  #keep(tokens: Tokens, userName: string): void {
    this.#access = tokens.access_token
    const lifetime = tokens.expires_in * 1000
    this.#expiresAt = Date.now() + lifetime
    this.userName = userName
    this.roles = rolesOf(tokens.access_token)
    const session: Kept = { refresh_token: tokens.refresh_token, user_name: userName }
    sessionStorage.setItem(KEPT, JSON.stringify(session))
    clearTimeout(this.#timer)
    // A failed renewal is tried again by the next request.
    const renew = () => void this.#renew().catch(() => undefined)
    this.#timer = window.setTimeout(renew, Math.max(lifetime - MARGIN_MS, lifetime / 2))
  }

  // No connection at start: the refresh token stays, so that a reload can take the session up.
  #pause(problem: Problem): void {
    this.notice = `${problem.title}. ${problem.detail}`
    this.phase = 'out'
  }

  #expired(): Problem {
    if (this.phase !== 'out') this.#end(words.signIn.ended)
    return new Problem({ status: 401, name: 'signed-out', title: words.signIn.signedOut, detail: this.notice })
  }

  #end(notice: string): void {
    clearTimeout(this.#timer)
    sessionStorage.removeItem(KEPT)
    this.#access = ''
    this.#expiresAt = 0
    this.userName = ''
    this.roles = []
    this.notice = notice
    this.phase = 'out'
  }
}

/** The roles in a token's payload (RFC 7519), for what the page offers; none where it cannot be read. */
export function rolesOf(token: string): readonly string[] {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const { roles } = JSON.parse(atob(payload)) as { roles?: unknown }
    return Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : []
  } catch {
    return []
  }
}

function kept(): Kept | undefined {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? 'null') ?? undefined
  } catch {
    return undefined
  }
}

export const session = new Session()
