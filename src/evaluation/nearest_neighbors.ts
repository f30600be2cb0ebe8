/**
 * How often the nearest neighbours in feature space are of an image's own class.
 *
 * @module
 */

import { noGrad } from "../torch/autograd.ts";
import { zeros } from "../torch/create.ts";
import { normalize } from "../torch/functional.ts";
import { call } from "../torch/operator.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { LabelledFeatures } from "./features.ts";

/** How neighbours are chosen and vote. */
export interface NeighbourOptions {
  /** The numbers of neighbours to try; where there are fewer images, all of them vote. */
  readonly counts: readonly number[];
  /** T of a neighbour's weight exp(cosine / T). */
  readonly temperature: number;
}

/** Cosines that are in memory at once: 128 MB. */
const CHUNK_ELEMENTS = 1 << 25;

/**
 * The test accuracies of weighted nearest neighbours, one for each number of them (Wu et al., "Unsupervised feature
 * learning via non-parametric instance discrimination", 2018): of all training images, those with the highest cosine
 * vote for their class.
 */
export function nearestNeighbours(
  train: LabelledFeatures,
  test: LabelledFeatures,
  classes: number,
  options: NeighbourOptions,
): number[] {
  const counts = options.counts.map((count) => Math.min(count, train.labels.numel));
  const right = counts.map(() => 0), total = test.labels.numel;
  const rows = Math.max(1, Math.floor(CHUNK_ELEMENTS / train.labels.numel));
  noGrad(() =>
    scope(() => {
      const known = normalize(train.features).transpose();
      for (let start = 0; start < total; start += rows) {
        scope(() => {
          const asked = normalize(test.features.slice(0, start, start + rows));
          const labels = test.labels.slice(0, start, start + rows);
          const [cosines, neighbours] = asked.matmul(known).topk(Math.max(...counts));
          const votes = train.labels.indexSelect(0, neighbours.flatten()).reshape(...neighbours.shape);
          // One at most, so that no weight overflows; a common factor does not matter.
          const weights = cosines.sub(1).div(options.temperature).exp();
          for (const [i, count] of counts.entries()) {
            const winners = elect(votes.slice(1, 0, count), weights.slice(1, 0, count), classes);
            right[i] += winners.eq(labels).sum().item();
          }
        });
      }
    })
  );
  return right.map((count) => count / total);
}

/** The class with the largest sum of weights in each row. */
function elect(votes: Tensor, weights: Tensor, classes: number): Tensor {
  const sums = zeros([votes.shape[0], classes], { device: votes.device });
  return call("aten::scatter_add", sums, 1, votes, weights).argmax(1);
}
