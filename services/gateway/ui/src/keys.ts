/** Whether a key belongs to where the keyboard is: what is typed or chosen there is no command. */
export function isTaken(event: KeyboardEvent): boolean {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return true
  const { target } = event
  if (!(target instanceof HTMLElement)) return false
  if (target.isContentEditable || target.matches('textarea, select')) return true
  if (!(target instanceof HTMLInputElement)) return event.key === 'Enter' && target.matches('button, a, summary')
  const choice = ['checkbox', 'radio', 'range'].includes(target.type)
  return !choice || event.key.startsWith('Arrow') || ['PageUp', 'PageDown', 'Home', 'End', ' '].includes(event.key)
}

/** The digit that stands on a key: with Shift, or on a French keyboard without, it is another sign. */
export function digitOf({ code }: KeyboardEvent): number | undefined {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1]
  return digit === undefined ? undefined : Number(digit)
}
