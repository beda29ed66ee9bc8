// Every threshold of a ranking at once: the twin of companion/anomaly/evaluation.py and of scikit-learn's curves.

/**
 * @typedef {object} Ranking
 * @property {number[]} values the distinct scores, rising; flagged is what is at least `values[cut]`
 * @property {number[]} tp flagged anomalies at each cut, 0 to values.length (which flags nothing)
 * @property {number[]} fp flagged normal rows
 * @property {number} anomalies
 * @property {number} normal
 */

/** @param {ArrayLike<number>} labels 1 for anomalies @param {ArrayLike<number>} scores @returns {Ranking} */
export function rankingOf(labels, scores) {
  const order = Array.from(scores, (_, i) => i).sort((a, b) => scores[a] - scores[b]);
  /** @type {number[]} */
  const values = [];
  /** @type {[odd: number, plain: number][]} */
  const there = [];
  for (const i of order) {
    if (!values.length || scores[i] !== values[values.length - 1]) {
      values.push(scores[i]);
      there.push([0, 0]);
    }
    there[there.length - 1][labels[i] ? 0 : 1] += 1;
  }
  const tp = Array(values.length + 1).fill(0);
  const fp = Array(values.length + 1).fill(0);
  for (let cut = values.length - 1; cut >= 0; cut -= 1) {
    tp[cut] = tp[cut + 1] + there[cut][0];
    fp[cut] = fp[cut + 1] + there[cut][1];
  }
  return { values, tp, fp, anomalies: tp[0], normal: fp[0] };
}

/** The area under the ROC curve, by trapezoids. @param {Ranking} ranking */
export function auroc({ tp, fp, anomalies, normal }) {
  let area = 0;
  for (let cut = tp.length - 2; cut >= 0; cut -= 1)
    area += ((fp[cut] - fp[cut + 1]) * (tp[cut] + tp[cut + 1])) / 2;
  return area / (anomalies * normal);
}

/** Σ (recall gained) · precision, from the top down. @param {Ranking} ranking */
export function averagePrecision({ tp, fp, anomalies }) {
  let sum = 0;
  for (let cut = tp.length - 2; cut >= 0; cut -= 1)
    sum += ((tp[cut] - tp[cut + 1]) * tp[cut]) / (tp[cut] + fp[cut]);
  return sum / anomalies;
}

/** Precision at a cut; 1 where nothing is flagged, as scikit-learn's curve ends. @param {Ranking} ranking @param {number} cut */
export const precisionAt = ({ tp, fp }, cut) => (tp[cut] + fp[cut] ? tp[cut] / (tp[cut] + fp[cut]) : 1);

/** The total cost at each cut; a false alarm costs 1. @param {Ranking} ranking @param {number} miss */
export const costs = ({ tp, fp, anomalies }, miss) =>
  tp.map((hit, cut) => fp[cut] + miss * (anomalies - hit));

/**
 * How many of each kind lie in each of `count` equal bins between the least and the largest score.
 * @param {ArrayLike<number>} labels @param {ArrayLike<number>} scores @param {number} count
 */
export function histogram(labels, scores, count) {
  const values = Array.from(scores);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const bins = [0, 1].map(() => Array(count).fill(0));
  values.forEach((v, i) => {
    const bin = high > low ? Math.min(count - 1, Math.floor(((v - low) / (high - low)) * count)) : 0;
    bins[labels[i] ? 1 : 0][bin] += 1;
  });
  return { low, high: high > low ? high : low + 1, normal: bins[0], anomalies: bins[1] };
}
