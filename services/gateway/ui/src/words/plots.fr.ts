import type { PLOTS as EN } from './plots.en'
import type { AnyWords } from './table'

/** What is said of plots, in French. */
export const PLOTS: AnyWords<typeof EN> = {
  plots: {
    numbers: 'Les nombres',
    hint: 'Pointez le graphique pour lire une valeur. « Les nombres » les donne toutes.',
    failed: 'Le graphique n’a pas pu être chargé. « Les nombres » donne ce qu’il montrerait.',
    pageFailed: 'Cette page n’a pas pu être chargée. Vérifiez le réseau et rechargez-la.',
    none: 'inconnu',
    histogram: (feature) => `Histogramme de « ${feature.toLowerCase()} », entraînement et cette période`,
    shares: 'Part des examens',
    between: (from, to) => `${from} à ${to}`,
    below: (edge) => `Sous ${edge}`,
    above: (edge) => `Au-dessus de ${edge}`,
    scales: {
      mean: '0 est noir, 1 est blanc',
      std: '1 va du noir au blanc',
      p01: '0 est noir, 1 est blanc',
      p99: '0 est noir, 1 est blanc',
      sharpness: 'laplacien sur luminosité',
      background: 'part de tous les voxels, de 0 à 1',
      mask_fraction: 'part de tous les voxels, de 0 à 1',
      confidence: 'de 0 à 1',
    },
    trend: (feature) => `Évolution de « ${feature.toLowerCase()} », fenêtre par fenêtre`,
    windows: 'Fenêtre (numéro)',
    window: (number, times) => `${number} (${times})`,
    index: 'Indice de stabilité (PSI)',
    discrepancy: 'Divergence (MMD²)',
    alarm: 'dérive annoncée',
    here: 'cette fenêtre',
    intervals: (title) => `${title}, avec l’intervalle à 95 %`,
    evaluated: (set) => `Version, mesurée sur ${set}`,
    dice: 'Dice, de 0 à 1',
    rate: 'Part',
    value: 'Valeur',
    low: 'borne basse de l’intervalle à 95 %',
    high: 'borne haute de l’intervalle à 95 %',
    interval: 'intervalle à 95 %',
  },
}
