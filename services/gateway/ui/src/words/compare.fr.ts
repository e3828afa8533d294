import type { AnyWords } from './table'
import type { COMPARE as EN } from './compare.en'

/** What is said of a scan beside others of the same patient, in French. */
export const COMPARE: AnyWords<typeof EN> = {
  priors: {
    title: 'Examen antérieur',
    choose: 'Antérieur, du même type d’image',
    taken: (day) => `du ${day}`,
    sent: (day) => `envoyé le ${day}`,
    show: 'L’afficher à côté',
    hide: 'Ne plus l’afficher',
    beside: (which) => `Antérieur ${which}`,
    stage: (which, slice) => `Examen antérieur ${which}${slice}`,
    linked: 'Défiler ensemble, selon la distance en mm',
    linkedHint:
      'Décochez, faites défiler jusqu’à ce que les deux montrent le même niveau, puis cochez de nouveau : les deux examens n’ont pas de coordonnées communes.',
    notLinked: 'La distance entre les coupes n’est pas connue dans les deux examens : chacun défile pour lui-même.',
    otherView: 'Les deux sont affichés dans des plans différents : chacun défile pour lui-même.',
    none: 'Il n’y a ici aucun examen antérieur du même type d’image de ce patient.',
    otherKind: (count) =>
      count === 1 ? 'Un antérieur est d’un autre type d’image.' : `${count} antérieurs sont d’un autre type d’image.`,
    failed: 'Les examens antérieurs ne peuvent pas être affichés.',
    failedResult: 'Le résultat de l’antérieur ne peut pas être affiché.',
    table: 'Évolution depuis l’antérieur',
    columns: { what: 'Taille', before: 'Antérieur', now: 'Actuel', change: 'Évolution' },
    rows: {
      volume: 'Volume, mL',
      longest: 'Plus grand diamètre, mm',
      perpendicular: 'Diamètre perpendiculaire, mm',
      products: 'Somme des produits, mm²',
    },
    unknown: 'inconnu',
    change: (difference, share) => `${difference} (${share})`,
    largest: 'Les diamètres sont ceux de la plus grande région principale de chaque examen ; ce peut être une autre.',
    aid: 'Aide dans les termes de RANO',
    aids: {
      increase: 'La somme des produits est supérieure d’au moins 25 % à celle de l’antérieur.',
      between: 'La somme des produits n’est ni supérieure de 25 % ni inférieure de 50 % à celle de l’antérieur.',
      decrease: 'La somme des produits est inférieure d’au moins 50 % à celle de l’antérieur.',
      unmeasurable:
        'Dans l’un des deux au moins, aucune région n’est mesurable (10 mm dans les deux diamètres, sur deux coupes) : les sommes ne sont pas comparées.',
      unknown: 'Rien n’est connu en mm dans l’un des deux au moins : les sommes ne sont pas comparées.',
      kind: 'On ne sait pas si les images sont d’un même type dont parle RANO (FLAIR, T1 avec produit de contraste) : les sommes ne sont pas comparées.',
    },
    cannotKnow:
      'Ce n’est pas une évaluation. RANO compare à la plus petite somme depuis le début du traitement, non à un seul antérieur ; et ce que le modèle marque n’est pas forcément ce qui prend le contraste. L’aide ne connaît ni les nouvelles lésions, ni la correspondance des régions, ni l’état du patient, ni les corticoïdes, ni la date d’une radiothérapie.',
    otherModel: 'Les deux résultats viennent de versions différentes du modèle : une différence de taille peut venir du modèle.',
  },
  series: {
    title: 'Même étude',
    current: 'celui-ci',
    failed: 'Les séries de l’étude ne peuvent pas être listées.',
  },
  planes: {
    show: '3 plans',
    label: (scan) => `Examen ${scan} en trois plans et en 3D`,
    loading: 'Le volume est en route',
    noWebGl: 'Ce navigateur n’a pas WebGL 2 : trois plans et 3D ne peuvent pas être affichés ensemble. Les coupes restent telles quelles.',
    failed: 'Le volume ne peut pas être affiché en trois plans.',
    tooLarge: (most) => `Le volume est trop grand pour un navigateur (plus de ${most} voxels). Les coupes restent telles quelles.`,
    layouts: { planes: 'Trois plans et 3D', volume: '3D seule' },
    layout: 'Disposition',
    plane: 'Plan',
    hint: 'Cliquez ou glissez pour déplacer le réticule ; la coupe le suit. Glissez avec le bouton droit pour la luminosité et le contraste. Tournez l’image 3D en glissant.',
    sideUnknown: 'Côté inconnu : le fichier ne dit pas comment les coupes se situent dans le patient.',
  },
  measure: {
    tool: 'Mesurer',
    length: (length, unit) => `${length} ${unit}`,
    measured: (length, unit) => `Mesuré : ${length} ${unit}`,
    clear: 'Retirer les mesures',
    pixels: 'pixels',
  },
}
