import { challengeKeys, type Proof } from './api/keys'
import { answerOfKey } from './webauthn'

/** What is shown beside a password: the code that was typed, or else the answer of a key where there is one. */
export async function proofOf(code: string, hasKeys: boolean): Promise<Proof> {
  if (code.trim()) return { one_time_code: code.trim() }
  return hasKeys ? { security_key: await answerOfKey(await challengeKeys()) } : {}
}
