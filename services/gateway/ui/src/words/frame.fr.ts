import type { FRAME as EN } from './frame.en'
import type { AnyWords } from './table'

/** What stands around every page, in French. */
export const FRAME: AnyWords<typeof EN> = {
  frame: {
    brand: 'medseg',
    home: 'medseg, tous les examens',
    models: 'Modèles',
    skip: 'Aller au contenu',
    signOut: 'Se déconnecter',
    language: 'Langue',
  },
  list: {
    name: 'Examens précédents',
    title: 'Examens',
    newScan: 'Nouvel examen',
    back: 'Tous les examens',
    hideNames: 'Masquer les noms',
    show: 'Afficher',
    all: 'Tous les examens',
    groups: {
      answer: 'Par réponse',
      state: 'Par état',
      priority: 'Par urgence',
      review: 'Par relecture',
    },
    states: {
      queued: 'En attente',
      running: 'En cours d’analyse',
      done: 'Terminé',
    },
    urgent: 'Urgent',
    reviews: {
      unreviewed: 'Pas encore relu',
      hidden: 'Jugé par d’autres',
      agreed: 'Confirmé',
      corrected: 'Corrigé',
      rejected: 'Rejeté',
      unsure: 'Incertain',
      conflict: 'Avis divergents',
    },
    none: 'Aucun examen pour l’instant. Le premier que vous enverrez apparaîtra ici.',
    noneSuch: 'Il n’y a pas d’examen de ce genre.',
    ownOnly: 'Parmi les examens relus, vous voyez ceux que vous avez jugés vous-même.',
    again: 'Réessayer',
    older: 'Afficher les examens plus anciens',
  },
  administration: {
    title: 'Administration',
    learning: 'Apprentissage à partir des examens',
    learningHint:
      'Avec l’accord de l’hôpital, les examens que ses lecteurs ont confirmés peuvent être remis, sans les noms, à qui entraîne les modèles. S’il est retiré, plus rien n’est remis, et le prochain export enlève ce qui l’avait été ; les modèles qui en ont appris restent tels qu’ils sont.',
    mayLearn: 'Les examens confirmés peuvent servir à l’apprentissage',
    on: 'Oui',
    off: 'Non',
    nowOn: 'Les examens confirmés peuvent désormais servir à l’apprentissage.',
    nowOff: 'Plus aucun examen ne sert à l’apprentissage.',
    decided: (who, when) => `Décidé par ${who}, ${when}. Chaque décision est conservée.`,
    undecided: 'Personne n’a encore décidé : rien ne sert à l’apprentissage.',
    incidents: 'Problèmes signalés',
    noIncidents: 'Personne n’a signalé de problème.',
    reported: (reporter, when) => `${reporter}, ${when} :`,
    ofScan: (scan) => `examen ${scan}`,
    ofSystem: 'le système',
    older: 'Afficher les signalements plus anciens',
  },
}
