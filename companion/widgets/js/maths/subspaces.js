// Angles between subspaces, and which axes of theirs are alike.

/** @typedef {Float64Array[]} Columns */

/** @param {Float64Array} a @param {Float64Array} b */
const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);

/** Subtract from `a` what lies along the unit vectors. @param {Float64Array} a @param {Columns} units */
function reject(a, units) {
  for (const q of units) {
    const along = dot(a, q);
    for (let i = 0; i < a.length; i += 1) a[i] -= along * q[i];
  }
}

/** An orthonormal basis of what the columns span (Gram–Schmidt, twice over). @param {Columns} columns */
function basis(columns) {
  /** @type {Columns} */
  const units = [];
  for (const column of columns) {
    const q = column.slice();
    reject(q, units);
    reject(q, units);
    const size = Math.sqrt(dot(q, q));
    if (size > 1e-12 * Math.sqrt(dot(column, column))) units.push(q.map((v) => v / size));
  }
  return units;
}

/** The eigenvalues of a symmetric matrix, by Jacobi's rotations. @param {Float64Array[]} matrix */
function eigenvalues(matrix) {
  const a = matrix.map((row) => row.slice());
  const n = a.length;
  for (let sweep = 0; sweep < 30; sweep += 1) {
    let off = 0;
    for (let p = 0; p < n; p += 1) {
      for (let q = p + 1; q < n; q += 1) {
        off += a[p][q] ** 2;
        if (Math.abs(a[p][q]) < 1e-300) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
        const c = 1 / Math.hypot(t, 1);
        const s = t * c;
        for (let k = 0; k < n; k += 1) {
          const [x, y] = [a[k][p], a[k][q]];
          [a[k][p], a[k][q]] = [c * x - s * y, s * x + c * y];
        }
        for (let k = 0; k < n; k += 1) {
          const [x, y] = [a[p][k], a[q][k]];
          [a[p][k], a[q][k]] = [c * x - s * y, s * x + c * y];
        }
      }
    }
    if (off < 1e-26) break;
  }
  return a.map((row, k) => row[k]);
}

/** Columns' products with each other, AᵀB. @param {Columns} a @param {Columns} b */
const products = (a, b) => a.map((x) => Float64Array.from(b, (y) => dot(x, y)));

/**
 * The largest principal angle between what two sets of columns span, in radians, as
 * scipy.linalg.subspace_angles has it: by its cosine where that is exact, else by its sine (Knyazev &
 * Argentati, 2002). π/2 where one of them has fewer dimensions than columns.
 * @param {Columns} a @param {Columns} b as many as in `a`, of the same length
 */
export function largestAngle(a, b) {
  const [p, q] = [basis(a), basis(b)];
  if (p.length < a.length || q.length < b.length) return Math.PI / 2;
  const m = products(p, q);
  const transposed = m[0].length ? Array.from(m[0], (_, j) => Float64Array.from(m, (row) => row[j])) : [];
  const least = Math.min(...eigenvalues(products(transposed, transposed)));
  if (least < 0.5) return Math.acos(Math.sqrt(Math.max(0, least)));
  const rest = q.map((column) => column.slice());
  for (const column of rest) reject(column, p);
  const most = Math.max(...eigenvalues(products(rest, rest)));
  return Math.asin(Math.min(1, Math.sqrt(Math.max(0, most))));
}

/** The largest |cosine| between a column of `a` and one of `b`. @param {Columns} a @param {Columns} b */
export function mostAlike(a, b) {
  let most = 0;
  for (const x of a)
    for (const y of b) most = Math.max(most, Math.abs(dot(x, y)) / Math.sqrt(dot(x, x) * dot(y, y) || 1));
  return most;
}
