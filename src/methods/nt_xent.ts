/**
 * The contrastive loss NT-Xent (Chen et al., "A simple framework for contrastive learning of visual
 * representations", ICML 2020).
 *
 * @module
 */

import { type Gathering, UNDIVIDED } from "../nn/peers.ts";
import { autocast, noGrad } from "../torch/autograd.ts";
import { arange } from "../torch/create.ts";
import { cat, crossEntropy } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { meanOf, widened } from "./precision.ts";

/** The loss and what the reference reports beside it: all 0-dimensional tensors, of which only `loss` has a gradient. */
export interface NtXent {
  /** Mean cross-entropy over the 2N rows. */
  readonly loss: Tensor;
  /** How often a row of the 2N is most similar to its partner. */
  readonly accuracy: Tensor;
  /** The same among the b columns only, for the N rows of a. */
  readonly contrastAccuracy: Tensor;
  /** Mean entropy of the softmax over the b columns, -sum p log(p + 1e-6), in nats. */
  readonly contrastEntropy: Tensor;
}

/** What a caller may change about NT-Xent. */
export interface NtXentOptions {
  /** How the batch is spread over processes; absent where there is one. */
  readonly gathering?: Gathering;
  /**
   * The precision of the similarities. The reference always casts them to float32; here it is that or the input's
   * precision, whichever is finer, unless this asks for float32 to follow the reference to the last digits.
   */
  readonly similarityDtype?: "float32";
}

/**
 * NT-Xent of unit vectors: cosine / temperature of each of the 2N rows with all 2N (times world) columns, the row's own
 * column masked out with -1e9, cross-entropy towards its partner, mean over rows.
 *
 * @param z1 unit vectors (N, D) of views a
 * @param z2 unit vectors (N, D) of views b
 * @param temperature above 0
 */
export function ntXent(z1: Tensor, z2: Tensor, temperature: number, options: NtXentOptions = {}): NtXent {
  const body = () => compute(widened(z1), widened(z2), temperature, options);
  return autocast(z1.device, null, () => scope(body));
}

function compute(z1: Tensor, z2: Tensor, temperature: number, options: NtXentOptions): NtXent {
  const { gathering = UNDIVIDED, similarityDtype } = options;
  const [n] = z1.shape, device = z1.device;
  const columns1 = gathering.gather(z1), columns2 = gathering.gather(z2);
  const all = columns1.shape[0];
  const rows = cat([z1, z2]), columns = cat([columns1, columns2]);
  const similarities = rows.matmul(columns.transpose()).to({ dtype: similarityDtype });
  const logits = similarities.div(temperature);

  const first = n * gathering.rank;
  const ofA = arange(first, first + n, { device }), ofB = arange(all + first, all + first + n, { device });
  const own = cat([ofA, ofB]).unsqueeze(1), partner = cat([ofB, ofA]);
  const masked = logits.scatter(1, own, -1e9);
  const loss = crossEntropy(masked, partner);

  return noGrad(() => {
    const block = logits.detach().slice(0, 0, n).slice(1, all, 2 * all);
    const p = block.softmax(1);
    return {
      loss,
      accuracy: meanOf(masked.argmax(1).eq(partner)),
      contrastAccuracy: meanOf(block.argmax(1).eq(ofA)),
      contrastEntropy: p.mul(p.add(1e-6).log()).sum([1]).mean().neg(),
    };
  });
}
