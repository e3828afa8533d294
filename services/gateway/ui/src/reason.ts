/** Why this reader looks, in their own words, where the hospital asks for that; in memory only. It stands in the audit trail. */
export const reason = { text: '' }
