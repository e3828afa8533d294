import { language, type Language } from '../language'
import { EN } from '../words.en'
import { FR } from '../words.fr'

/** The same table with any words in it: that none is missing is checked when the page is built. */
export type AnyWords<T> = T extends string
  ? string
  : T extends (...said: infer Said) => string
    ? (...said: Said) => string
    : { readonly [Key in keyof T]: AnyWords<T[Key]> }

export type Words = AnyWords<typeof EN>

export const TABLES: Readonly<Record<Language, Words>> = { en: EN, fr: FR }

/** What the page says, in its language. */
export const words: Words = TABLES[language]
