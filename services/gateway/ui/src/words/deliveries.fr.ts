import type { DELIVERIES as EN } from './deliveries.en'
import type { AnyWords } from './table'

/** What is said of what was pushed where, in French. */
export const DELIVERIES: AnyWords<typeof EN> = {
  deliveries: {
    title: 'Envois',
    destinations: 'Où vont les résultats',
    noDestinations: 'Les résultats ne sont encore envoyés nulle part.',
    kinds: { webhook: 'Webhook signé', stow: 'Archive (DICOM, STOW-RS)' },
    counts: (waiting, failed) => `${waiting} en attente, ${failed} en échec`,
    paused: (when) => `La dernière tentative a échoué ; la prochaine ${when}`,
    off: 'Désactivée',
    add: 'Ajouter une destination',
    name: 'Nom',
    kind: 'Type',
    url: 'Adresse',
    formats: 'Ce qui est envoyé',
    secret: {
      webhook: 'Secret de signature (laissé vide, il en est créé un)',
      stow: 'Valeur de l’en-tête Authorization (laissée vide, aucune n’est envoyée)',
    },
    make: 'Ajouter la destination',
    secretOf: (name) => `Le secret qui signe les envois à ${name}. Il n’est affiché que maintenant.`,
    enable: 'Réactiver',
    disable: 'Désactiver',
    remove: 'Retirer',
    sure: (name) => `Retirer ${name} ? Ce qui attend de partir sera en échec.`,
    list: 'Ce qui est parti, et où',
    show: 'Afficher',
    all: 'Tous',
    states: { waiting: 'En attente', delivered: 'Remis', failed: 'En échec' },
    none: 'Il n’y a aucun envoi de ce genre.',
    scan: (scan) => `Examen ${scan}`,
    attempts: (count) => `Tentatives : ${count}`,
    due: (when) => `Prochaine tentative ${when}`,
    ended: (when) => `Terminé ${when}`,
    again: 'Envoyer de nouveau',
    againOf: (scan, destination) => `Envoyer de nouveau l’examen ${scan} à ${destination}`,
    waits: 'L’envoi attend de partir.',
    refresh: 'Actualiser',
    older: 'Afficher des envois plus anciens',
  },
}
