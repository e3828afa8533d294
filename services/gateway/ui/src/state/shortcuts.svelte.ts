const OFF = 'medseg.keys-off'

/** Whether single letters do something: who dictates or types by chance may turn it off (WCAG 2.1.4). */
class Shortcuts {
  on = $state(localStorage.getItem(OFF) !== 'yes')

  set(on: boolean): void {
    this.on = on
    if (on) localStorage.removeItem(OFF)
    else localStorage.setItem(OFF, 'yes')
  }
}

export const shortcuts = new Shortcuts()
