/**
 * The fields of an answer that the page reads. Each is always there, as `null` where there is nothing: the description of the
 * API cannot tell that from what may be missing.
 */
export type Written<T, K extends keyof T> = { [Key in K]-?: Exclude<T[Key], undefined> }
