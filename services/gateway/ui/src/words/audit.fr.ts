import type { AUDIT as EN } from './audit.en'
import type { AnyWords } from './table'

/** What is said of the audit trail, in French. */
export const AUDIT: AnyWords<typeof EN> = {
  audit: {
    title: 'Journal d’audit',
    hint: 'Qui a fait quoi, quand, d’où et pourquoi : connexions, lectures d’identités et d’images, modifications, envois et refus. Votre consultation est notée elle aussi.',
    from: 'Du',
    to: 'Au',
    action: 'Ce qui a été fait',
    subject: 'Par qui (identifiant)',
    object: 'Sur quoi (identifiant d’un examen ou d’un utilisateur)',
    show: 'Afficher',
    export: 'Enregistrer toutes les entrées de cette liste, même plus anciennes, au format',
    forms: { csv: 'CSV', ndjson: 'lignes JSON', xml: 'messages d’audit (DICOM, IHE ATNA)' },
    none: 'Il n’y a pas de telles entrées.',
    count: (count) => `${count} entrées`,
    when: 'Quand',
    who: 'Qui',
    what: 'Quoi',
    where: 'D’où',
    why: 'Pourquoi',
    nobody: 'personne de connu',
    older: 'Afficher les entrées plus anciennes',
    asksWhy: 'Votre hôpital demande pourquoi vous consultez l’identité des patients. La raison figure dans le journal d’audit.',
    sayWhy: 'Afficher les noms',
  },
}
