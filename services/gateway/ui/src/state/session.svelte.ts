import { tick } from 'svelte'
import { Problem, asProblem } from '../api/problem'
import { refresh, revoke, signIn, signInBy, type ProviderAnswer, type Tokens } from '../api/tokens'
import { words } from '../words/table'
import { Idle } from './idle'
import { Tabs, type Shared } from './tabs'

const KEPT = 'medseg.session'
/** How long before its end a token is renewed. */
const MARGIN_MS = 60_000

interface Kept {
  id: string
  refresh_token: string
  user_name: string
}

/**
 * Who is signed in, in the tabs of this browser.
 *
 * The access token lives in memory only; the refresh token in `sessionStorage`, too, so that a reload keeps the session and closing the
 * last tab ends it. A tab that is opened beside one that is signed in takes its session over.
 *
 * Where nobody has touched any of them for long they are locked: nothing of the work is shown before the password is given, while what was
 * begun, as an upload, goes on.
 */
class Session {
  phase = $state<'restoring' | 'out' | 'in' | 'locked'>('restoring')
  userName = $state('')
  /** What the access token says that its bearer may do; whoever decides is the server. */
  roles = $state.raw<readonly string[]>([])
  /** Codes for recovery that whoever has just signed in is to keep before they go on. */
  codes = $state.raw<readonly string[]>([])
  /** Why the sign-in form is shown again, when nobody asked for it. */
  notice = $state('')

  #id = ''
  #access = ''
  #refresh = ''
  #expiresAt = 0
  #renewal: Promise<void> | undefined
  #timer = 0

  readonly #tabs = new Tabs({
    mine: () => (!this.#idle.isLeft() && this.phase === 'in' ? this.#shared() : undefined),
    told: (session) => this.#told(session),
    ended: (id) => {
      if (id === this.#id && id !== '') this.#end('')
    },
    touched: () => {
      if (!this.#idle.isLeft()) this.#idle.begin()
    },
  })
  readonly #idle = new Idle(
    () => this.#lock(),
    (now) => {
      // Whoever is before a form to sign in keeps nobody's work open.
      if (this.phase === 'in') this.#tabs.touch(now)
    },
  )

  /** Takes up the session of before a reload, or that of another tab. */
  async restore(): Promise<void> {
    this.#idle.watch()
    this.#tabs.listen()
    const own = kept()
    // The page of the version before has named no session.
    if (own) [this.#id, this.#refresh, this.userName] = [own.id || newId(), own.refresh_token, own.user_name]
    // A tab that slept may have missed what became of its refresh token.
    await this.#tabs.ask()
    if (this.phase !== 'restoring') return
    if (!this.#refresh) return this.#end('')
    await this.#renew().catch(() => undefined)
  }

  async signIn(userName: string, password: string, newPassword = '', code = '', key = ''): Promise<void> {
    await this.#begin(await signIn(userName, password, newPassword, code, key), userName)
  }

  /** Signs in whom their hospital's provider has sent back. */
  async signInBy(name: string, answer: ProviderAnswer): Promise<void> {
    const tokens = await signInBy(name, answer)
    await this.#begin(tokens, nameOf(tokens.access_token))
  }

  async #begin(tokens: Tokens, userName: string): Promise<void> {
    const goesOn = this.phase === 'locked' && this.userName === userName
    const before = this.#refresh
    if (before) void revoke(before).catch(() => undefined)
    if (!goesOn) await this.#beginAnew()
    this.notice = ''
    if (tokens.recovery_codes) this.codes = tokens.recovery_codes
    this.phase = 'in'
    this.#idle.begin()
    this.#take(tokens, userName)
  }

  /** They are shown no more. */
  keptCodes(): void {
    this.codes = []
  }

  async signOut(): Promise<void> {
    const token = this.#refresh
    if (this.#id) this.#tabs.end(this.#id)
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

  // One renewal at a time: a refresh token used twice counts as stolen and ends the session. Two tabs may do it in the same moment.
  #renew(): Promise<void> {
    this.#renewal ??= this.#exchange().finally(() => (this.#renewal = undefined))
    return this.#renewal
  }

  async #exchange(): Promise<void> {
    const used = this.#refresh
    if (!used) throw this.#expired()
    try {
      const tokens = await refresh(used)
      // Signed out while the answer was on its way: stay so.
      if (!this.#refresh) throw this.#expired()
      // Another tab was told the same, and has said so.
      if (this.#refresh !== used) return
      if (this.phase === 'restoring') this.phase = 'in'
      this.#take(tokens, this.userName)
    } catch (cause) {
      const problem = asProblem(cause)
      if (!problem.transient) throw this.#expired()
      if (this.phase === 'restoring') this.#pause(problem)
      throw problem
    }
  }

  #take(tokens: Tokens, userName: string): void {
    // Other tabs may have seen before this one that nobody is here: what it tells them now must not open them.
    this.#idle.isLeft()
    this.#keep({
      id: this.#id,
      userName,
      access: tokens.access_token,
      expiresAt: Date.now() + tokens.expires_in * 1000,
      refresh: tokens.refresh_token,
      locked: this.phase === 'locked',
    })
    this.#tabs.tell(this.#shared())
  }

  /** Whoever comes now is somebody else, or may be: nothing of before is left for them, here or in another tab. */
  async #beginAnew(): Promise<void> {
    if (this.#id) this.#tabs.end(this.#id)
    this.#end('')
    await tick()
    this.#id = newId()
  }

  /** What another tab says of its session: it may be this one's, or what this one asks for. */
  #told(session: Shared): void {
    const isOurs = session.id === this.#id
    const isAskedFor = this.phase === 'restoring' && this.#refresh === ''
    if (this.phase === 'out' || !(isOurs || isAskedFor)) return
    if (session.expiresAt < this.#expiresAt) return
    this.#id = session.id
    if (!session.locked && this.phase !== 'in') {
      this.phase = 'in'
      this.notice = ''
      this.#idle.begin()
    }
    this.#keep(session)
  }

  #keep(session: Shared): void {
    const { access, expiresAt, refresh, userName } = session
    ;[this.#access, this.#expiresAt, this.#refresh, this.userName] = [access, expiresAt, refresh, userName]
    this.roles = rolesOf(access)
    // What is locked stays so over a reload.
    if (this.phase === 'in') {
      const written: Kept = { id: this.#id, refresh_token: refresh, user_name: userName }
      sessionStorage.setItem(KEPT, JSON.stringify(written))
    }
    clearTimeout(this.#timer)
    // A failed renewal is tried again by the next request.
    const renew = () => void this.#renew().catch(() => undefined)
    const left = expiresAt - Date.now()
    this.#timer = window.setTimeout(renew, Math.max(left - MARGIN_MS, left / 2))
  }

  #shared(): Shared {
    return {
      id: this.#id,
      userName: this.userName,
      access: this.#access,
      expiresAt: this.#expiresAt,
      refresh: this.#refresh,
      locked: this.phase === 'locked',
    }
  }

  #lock(): void {
    if (this.phase !== 'in') return
    sessionStorage.removeItem(KEPT)
    this.notice = words.signIn.locked
    this.phase = 'locked'
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
    this.#id = ''
    this.#access = ''
    this.#refresh = ''
    this.#expiresAt = 0
    this.userName = ''
    this.roles = []
    this.codes = []
    this.notice = notice
    this.phase = 'out'
  }
}

// Not `randomUUID`: that is missing where the page is served without TLS.
function newId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}

/** The roles in a token's payload (RFC 7519), for what the page offers; none where it cannot be read. */
export function rolesOf(token: string): readonly string[] {
  const { roles } = payloadOf(token)
  return Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : []
}

/** What the bearer of a token is called; empty where it does not say. */
export function nameOf(token: string): string {
  const { name } = payloadOf(token)
  return typeof name === 'string' ? name : ''
}

function payloadOf(token: string): { roles?: unknown; name?: unknown } {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    return JSON.parse(atob(payload)) as { roles?: unknown; name?: unknown }
  } catch {
    return {}
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
