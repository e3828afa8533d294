// Whoever decides is the server: this is what the page offers.
const ALLOWED = {
  scans: ['clinician', 'integrator', 'admin'],
  identities: ['clinician', 'integrator'],
  verdicts: ['clinician', 'admin'],
  /** Beside a role that gives verdicts. */
  adjudication: ['adjudicator'],
  quality: ['clinician', 'scientist', 'admin'],
  drift: ['scientist', 'admin'],
  models: ['scientist', 'admin'],
  administration: ['admin'],
  destinations: ['admin'],
  deliveries: ['integrator', 'admin'],
  tenants: ['operator'],
} as const satisfies Record<string, readonly string[]>

/** What somebody may do. */
export type Doing = keyof typeof ALLOWED

export function may(roles: readonly string[], what: Doing): boolean {
  const allowed: readonly string[] = ALLOWED[what]
  return roles.some((role) => allowed.includes(role))
}

/** Where somebody's work begins: with the scans, or, for whoever may see none, with how good the answers are, or with hospitals. */
export function homeOf(roles: readonly string[]): 'scans' | 'quality' | 'tenants' {
  if (may(roles, 'tenants')) return 'tenants'
  return !may(roles, 'scans') && may(roles, 'quality') ? 'quality' : 'scans'
}
