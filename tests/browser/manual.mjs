import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** The states of the story of which `docs/manual` has a picture, by their names. */
const SHOWN = [
  'sign-in',
  'new-scan',
  'found-scans',
  'refused',
  'found',
  'reading-room',
  'reading-window',
  'reading-planes',
  'verdict-correct',
  'verdict-given',
  'drawing',
  'prior-beside',
  'upload-interrupted',
  'phone-found',
]

/**
 * The manual's pictures, taken while the story is told: so they show what is there, and nothing that was.
 *
 * Without a folder none is taken.
 */
export function manualOf(page, folder) {
  const missing = new Set(SHOWN)
  if (folder) mkdirSync(folder, { recursive: true })
  return {
    /** Takes the picture of a state, on the story's page or another, if the manual has one. */
    async show(state, on = page) {
      if (!missing.delete(state) || !folder) return
      await on.screenshot({ path: join(folder, `${state}.png`), animations: 'disabled', caret: 'hide' })
    },

    /** To be asked when the story is over. */
    complete() {
      assert.deepEqual([...missing], [], 'the story has every state that the manual shows')
    },
  }
}
