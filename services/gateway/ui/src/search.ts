/** As it is compared: neither case nor accents tell words apart. */
function plain(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
}

/** Whether each word of what is searched for is in what a row says. */
export function found(searched: string, said: readonly string[]): boolean {
  const row = plain(said.join(' '))
  return plain(searched)
    .split(/\s+/)
    .every((word) => row.includes(word))
}
