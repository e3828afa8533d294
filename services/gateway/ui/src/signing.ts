import type { Problem } from './api/problem'
import { NO_KEY } from './webauthn'
import { words } from './words/table'

/** What is asked for beside a password that was right: for that name and that password alone. */
export interface Asked {
  userName: string
  password: string
  /** The password was shown to others: another one is needed. */
  change: boolean
  /** A code of the second factor is needed, or the answer of a key. */
  code: boolean
  /** A key does as well as a code. */
  keys: boolean
  /** What a key is to be asked, once; nothing: it was asked, or there is none. */
  question: PublicKeyCredentialRequestOptionsJSON | null
  /** What an app is to be told first, where there is no second factor yet. */
  toBe: string
}

export const NOTHING_ASKED: Asked = { userName: '', password: '', change: false, code: false, keys: false, question: null, toBe: '' }

/** What is asked for of this name and this password. */
export function askedWith(asked: Asked, userName: string, password: string): Asked {
  return asked.userName === userName && asked.password === password ? asked : { ...NOTHING_ASKED, userName, password }
}

/** The same once the server has answered so; nothing where it asks for nothing more. */
export function askedBy({ name, secondFactor, securityKey }: Problem, asked: Asked): Asked | undefined {
  if (name === 'password-change') return { ...asked, change: true }
  if (name === 'second-factor') return { ...asked, code: true, keys: securityKey !== null, question: securityKey, toBe: secondFactor }
  return undefined
}

/** What was wrong, of what was asked for: with the password that was right a moment ago it is the code, or the key. */
export function wrongOf({ status, name }: Problem, asked: Asked): 'code' | 'new' | 'credentials' {
  if ((status === 401 && asked.code) || name === NO_KEY) return 'code'
  return status === 400 && asked.change ? 'new' : 'credentials'
}

/** What is said of a refusal. */
export function refusalOf(problem: Problem, asked: Asked, byKey = false): string {
  const { status, name, title, detail } = problem
  const wrong = wrongOf(problem, asked)
  if (wrong === 'code' && name !== NO_KEY) return byKey ? words.securityKeys.wrong : words.signIn.wrongCode
  if (wrong === 'credentials' && (status === 401 || status === 400)) return words.signIn.wrong
  return [title, detail].filter(Boolean).join('. ')
}
