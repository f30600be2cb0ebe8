/**
 * Views of images, the matrices between them, and what a manipulation head makes of them.
 *
 * @module
 */

import { drawViews, type ViewParameters } from "../augment/parameters.ts";
import type { ViewRecipes } from "../augment/transform.ts";
import { makeViews } from "../augment/views.ts";
import type { StoredModel } from "../training/stored_model.ts";
import { manipulationBins } from "../methods/manipulation_head.ts";
import { noGrad } from "../torch/autograd.ts";
import { fromTypedArray } from "../torch/create.ts";
import { cat } from "../torch/functional.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import type { EntryFacts, PairFacts, ViewFacts } from "./facts.ts";
import { dataUri } from "./picture.ts";
import type { Sample } from "./samples.ts";

/** How pairs are made. */
export interface PairOptions {
  /** How views are made. */
  readonly views: ViewRecipes;
  /** What everything is drawn from, as for the first step of a run. */
  readonly seed: number;
  /** Bins for each entry of the matrix. */
  readonly bins: number;
  /** Predicts bins; null: nothing is predicted. */
  readonly model: Pick<StoredModel, "encoder" | "manipulationHead"> | null;
}

/** Two views of each image with all that is known of them. */
export async function makePairs(samples: readonly Sample[], options: PairOptions): Promise<PairFacts[]> {
  const sizes = Int32Array.from(samples.flatMap(({ height, width }) => [height, width]));
  const parameters = drawViews(options.views, sizes, { seed: options.seed, epoch: 0, step: 0, first: 0 });
  const { pixels, entries } = computePairs(samples, parameters, options);
  const count = samples.length, { size } = options.views;
  const viewFacts = async (i: number): Promise<ViewFacts> => ({
    picture: await dataUri(pixels[i], size, size),
    ...describeView(parameters, i),
  });
  return await Promise.all(samples.map(async ({ name, pixels, height, width }, i) => ({
    name,
    height,
    width,
    picture: await dataUri(pixels, height, width),
    views: [await viewFacts(i), await viewFacts(count + i)] as const,
    entries: entries[i],
  })));
}

/** The views' pixels (2N, all a first, each (3, S, S)) and the entries of each matrix. */
function computePairs(
  samples: readonly Sample[],
  parameters: ViewParameters,
  { views: { size }, bins, model }: PairOptions,
): { pixels: Uint8Array[]; entries: EntryFacts[][] } {
  return noGrad(() =>
    scope(() => {
      // Images of different sizes cannot be one batch.
      const made = samples.map(({ pixels, height, width }, i) =>
        makeViews(fromTypedArray(pixels, [1, 3, height, width]), parameters.ofImage(i), size)
      );
      const [first, second] = [0, 1].map((view) =>
        cat(made.map(({ views }) => views.slice(0, view, view + 1)))
      );
      const manipulation = cat(made.map(({ manipulation }) => manipulation));
      const values = manipulation.toNumbers(), numbers = manipulationBins(manipulation, bins).toNumbers();
      const predicted = predict(model, first, second);
      return {
        pixels: cat([first, second]).mul(255).round().to({ dtype: "uint8" }).unbind(0)
          .map((view) => view.toTypedArray() as Uint8Array),
        entries: samples.map((_, pair) =>
          Array.from({ length: 6 }, (_, entry) => {
            const at = 6 * pair + entry;
            return { value: values[at], bin: numbers[at], probabilities: predicted?.[at] ?? null };
          })
        ),
      };
    })
  );
}

/** The probabilities of the bins of each entry, entry by entry; null without a model. */
function predict(model: PairOptions["model"], first: Tensor, second: Tensor): number[][] | null {
  if (model === null) return null;
  const [a, b] = model.encoder.forward(cat([first, second])).chunk(2);
  const logits = model.manipulationHead!.forward(a, b), bins = logits.shape[1];
  const flat = logits.softmax(1).permute(0, 2, 3, 1).toNumbers();
  return Array.from({ length: flat.length / bins }, (_, i) => flat.slice(i * bins, (i + 1) * bins));
}

/** How a view was made, in words. */
function describeView(parameters: ViewParameters, view: number): Omit<ViewFacts, "picture"> {
  const { flipped, ...crop } = parameters.box(view);
  const made = parameters.slots.filter((slot) => parameters.group(slot, view) > 0);
  const recipe = view < parameters.images ? 0 : 1;
  const changes = made.flatMap((slot) => {
    const { name, describe } = slot.recipes[recipe]!;
    return describe?.(parameters.numbers(slot, view)) ?? [name];
  });
  return { crop, flipped, changes, isExcluded: made.some(({ transform }) => transform.excludesPair) };
}
