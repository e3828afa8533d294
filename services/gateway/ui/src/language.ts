/** The languages that the page speaks. */
export const LANGUAGES = ['en', 'fr'] as const

export type Language = (typeof LANGUAGES)[number]

const KEPT = 'medseg.language'

/** The language that was chosen on this device, else the first of the browser's that the page speaks, else English. */
export function languageOf(kept: string | null, preferred: readonly string[]): Language {
  const spoken = [kept ?? '', ...preferred].map(known).find((language) => language !== undefined)
  return spoken ?? 'en'
}

/** How dates are written: as the browser has it (nothing), unless another language than the browser's was chosen. */
export function localeOf(kept: string | null, preferred: readonly string[]): string | undefined {
  const chosen = known(kept ?? '')
  if (!chosen || chosen === known(preferred[0] ?? '')) return undefined
  // In English of many kinds the day stands before the month, and the day has 24 hours.
  return chosen === 'en' ? 'en-GB' : chosen
}

function known(tag: string): Language | undefined {
  return LANGUAGES.find((language) => language === tag.toLowerCase().split('-')[0])
}

// Without a page, as in tests, there is nobody to ask.
const kept = globalThis.document ? localStorage.getItem(KEPT) : null
const preferred = globalThis.document ? navigator.languages : []

export const language = languageOf(kept, preferred)
export const locale = localeOf(kept, preferred)

/** Speaks another language from now on, and on this device from then on: a page has one from its beginning to its end. */
export function speak(language: Language): void {
  localStorage.setItem(KEPT, language)
  location.reload()
}
