/** What of the page is shown. */
export type Page = 'home' | 'new' | 'scan' | 'report' | 'models' | 'quality' | 'drift' | 'deliveries' | 'administration' | 'account' | 'tenants' | 'welcome' | 'signed-in'

/** Where the page is, as its address says. */
export interface Where {
  page: Page
  /** What it is about; empty: nothing in particular. */
  id: string
  /** What is asked for, as the address has it behind a `?`. */
  query: string
}

const ROUTES: readonly (readonly [RegExp, Page])[] = [
  [/^\/?$/, 'home'],
  [/^\/new$/, 'new'],
  [/^\/scans\/([\w-]+)$/, 'scan'],
  [/^\/report(?:\/([\w-]+))?$/, 'report'],
  [/^\/models$/, 'models'],
  [/^\/administration$/, 'administration'],
  [/^\/deliveries$/, 'deliveries'],
  [/^\/account$/, 'account'],
  [/^\/tenants$/, 'tenants'],
  [/^\/welcome\/([\w-]+)$/, 'welcome'],
  [/^\/signed-in\/([a-z0-9-]+)$/, 'signed-in'],
  [/^\/quality$/, 'quality'],
  [/^\/drift(?:\/([\w-]+))?$/, 'drift'],
]

/** Where an address's fragment leads; one that nobody knows leads home. */
export function whereAt(fragment: string): Where {
  const [path = '', query = ''] = fragment.replace(/^#/, '').split(/\?(.*)/s)
  for (const [pattern, page] of ROUTES) {
    const found = pattern.exec(path)
    if (found) return { page, id: found[1] ?? '', query }
  }
  return { page: 'home', id: '', query: '' }
}

/** The address of a page with what is asked for; what is empty is left out. */
export function hrefTo(path: string, asked: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value !== ''))
  return query.size > 0 ? `#/${path}?${query}` : `#/${path}`
}
