/** Where the page is: the address's fragment, so that the server needs to know one page only. */
class Place {
  /** The scan that is open; empty: the place for new scans. */
  scan = $state('')

  constructor() {
    this.#read()
    addEventListener('hashchange', () => this.#read())
  }

  open(id: string): void {
    location.hash = hrefOf(id)
  }

  home(): void {
    location.hash = '#/'
  }

  #read(): void {
    this.scan = /^#\/scans\/([\w-]+)$/.exec(location.hash)?.[1] ?? ''
  }
}

export function hrefOf(id: string): string {
  return `#/scans/${id}`
}

export const place = new Place()
