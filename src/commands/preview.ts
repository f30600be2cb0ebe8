/**
 * A look at what a training run sees, and at what a manipulation head makes of it.
 *
 * @module
 */

import { viewRecipes } from "../augment/recipe.ts";
import { temporaryPath, writeAtomically, writeFully } from "../files/atomic.ts";
import type { PreviewSettings } from "../config/settings.ts";
import type { PreviewFacts } from "../preview/facts.ts";
import { renderPage } from "../preview/page.ts";
import { makePairs } from "../preview/pairs.ts";
import { sampleImages } from "../preview/samples.ts";
import { loadModel, type StoredModel } from "../training/stored_model.ts";

/**
 * Writes the page that the settings ask for and returns what is on it.
 *
 * @param note is told what the user should know
 * @param temporary see {@linkcode writeAtomically}
 */
export async function preview(
  settings: PreviewSettings,
  note: (text: string) => void = () => {},
  temporary: string = temporaryPath(settings.output),
): Promise<PreviewFacts> {
  const { dataset, seed, image_size: size, ckpt_path, output } = settings;
  using model = ckpt_path === "" ? null : loadPredictor(ckpt_path, settings.maxpool1);
  if (model?.note) note(model.note);
  const bins = model?.manipulationHead?.bins ?? settings.n_bins;
  const pairs = await makePairs(await sampleImages(settings, note), {
    views: viewRecipes(settings),
    seed,
    bins,
    model,
  });
  const checkpoint = model && { path: ckpt_path, steps: model.steps };
  const facts: PreviewFacts = { dataset, seed, size, bins, checkpoint, pairs };
  const page = new TextEncoder().encode(renderPage(facts));
  writeAtomically(output, (file) => writeFully(file, page), temporary);
  return facts;
}

function loadPredictor(path: string, maxPool: boolean): StoredModel {
  const model = loadModel(path, "cpu", maxPool);
  if (model.manipulationHead !== null) return model;
  model[Symbol.dispose]();
  throw new TypeError(`Cannot show predictions of ${path}: it has no manipulation head`);
}
