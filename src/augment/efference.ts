/**
 * Efference copies: how one view of an image must be manipulated to become the other.
 *
 * The matrices are the reference's, with its peculiarities: what they predict is trained on, so they stay.
 * Matrices are 2x3, row-major: the last row of the 3x3 matrix is always 0, 0, 1.
 *
 * @module
 */

/** Elements of a 2x3 matrix. */
const ENTRIES = 6;

/**
 * The matrix theta of each view: its crop and flip as an affine map of coordinates in [-1, 1].
 *
 * A flip negates the horizontal scale and leaves the translation as it is. Every step is rounded to float32, as in the
 * reference: where an entry should be zero, what rounding leaves of it decides the bin.
 *
 * @param boxes top, left, height, width, and 1 for a flipped view, else 0, of each of n views
 * @param sizes height and width of each of m images; view i is of image i modulo m
 * @param stride numbers from one box to the next
 * @returns n matrices
 */
export function viewMatrices(
  boxes: ArrayLike<number>,
  sizes: ArrayLike<number>,
  stride = 5,
): Float32Array<ArrayBuffer> {
  const views = boxes.length / stride, matrices = new Float32Array(views * ENTRIES);
  for (let i = 0; i < views; i++) {
    const size = (2 * i) % sizes.length, imageHeight = sizes[size], imageWidth = sizes[size + 1];
    const box = i * stride, top = boxes[box], left = boxes[box + 1], flipped = boxes[box + 4];
    const x = Math.fround(boxes[box + 3] / imageWidth), y = Math.fround(boxes[box + 2] / imageHeight);
    const at = i * ENTRIES;
    matrices[at] = flipped ? -x : x;
    matrices[at + 2] = Math.fround(x - 1) + Math.fround(2 * left / imageWidth);
    matrices[at + 4] = y;
    matrices[at + 5] = Math.fround(1 - y) - Math.fround(2 * top / imageHeight);
  }
  return matrices;
}

/**
 * J(theta) of each matrix: the 2x2 part inverted, the translation only negated. This is not the inverse of the affine
 * map (which would be [A^-1, -A^-1 t]), but what the reference uses in its place.
 */
export function invertScaleNegateTranslation(thetas: Float32Array): Float32Array<ArrayBuffer> {
  const result = new Float32Array(thetas.length);
  for (let at = 0; at < thetas.length; at += ENTRIES) {
    const [a, b, x, c, d, y] = thetas.subarray(at, at + ENTRIES);
    const determinant = Math.fround(Math.fround(a * d) - Math.fround(b * c));
    result.set([d / determinant, -b / determinant, -x, -c / determinant, a / determinant, -y], at);
  }
  return result;
}

/**
 * The efference copy of each pair of views: M_ab = theta_b J(theta_a), without the last row.
 *
 * @returns as many matrices as in each of the arguments
 */
export function relativeManipulation(
  thetaA: Float32Array,
  thetaB: Float32Array,
): Float32Array<ArrayBuffer> {
  if (thetaA.length !== thetaB.length || thetaA.length % ENTRIES !== 0) {
    throw new RangeError(
      `Cannot relate views: both need as many 2x3 matrices, they have ${thetaA.length} and ${thetaB.length} entries`,
    );
  }
  const back = invertScaleNegateTranslation(thetaA), result = new Float32Array(thetaA.length);
  for (let at = 0; at < result.length; at += ENTRIES) {
    const j = back.subarray(at, at + ENTRIES);
    for (const row of [at, at + 3]) {
      const [x, y, translation] = thetaB.subarray(row, row + 3);
      const product = (column: number) =>
        Math.fround(Math.fround(x * j[column]) + Math.fround(y * j[column + 3]));
      result.set([product(0), product(1), product(2) + translation], row);
    }
  }
  return result;
}
