/**
 * Two views of each image of a batch, and the efference copy that relates them.
 *
 * All pixels are touched by operations on many views at once, on the device where the images lie.
 *
 * @module
 */

import { autocast } from "../torch/autograd.ts";
import { empty, upload } from "../torch/create.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { blurKernelSize, gaussianBlur } from "./blur.ts";
import { blend_, shiftHue_ } from "./color_jitter.ts";
import { resizedCrop } from "./crop.ts";
import { relativeManipulation, viewMatrices } from "./efference.ts";
import { grayscale_ } from "./grayscale.ts";
import { firstViews, type ViewParameters } from "./parameters.ts";
import { BLENDS, BOX, COLUMNS, type Group, planViews, TURN } from "./plan.ts";
import { solarize } from "./solarize.ts";

/** Two views of each of N images. */
export interface Views {
  /** Pixels in [0, 1], first all views a, then all b: (2N, 3, S, S), float32. */
  readonly views: Tensor;
  /** The efference copy M_ab of each pair, (N, 2, 3), float32. */
  readonly manipulation: Tensor;
  /** Which views were solarised: (2N), bool; null where none can be. */
  readonly solarized: Tensor | null;
}

/**
 * Pixels that are worked on at once, in all channels. On a CPU they should stay in its cache; a GPU wants as much work
 * as its memory bears.
 */
const CHUNK_ELEMENTS = { cpu: 1 << 19, gpu: 1 << 27 } as const;

/**
 * Makes two views of each image: crops, resizes, flips, changes colours, blurs and solarises as the parameters say.
 *
 * @param images (M, 3, H, W), uint8: the batch, or a whole data set of which `rows` names the batch
 * @param parameters for N images of H x W pixels
 * @param size S, height and width of a view
 * @param rows int64, on the device of the images: which of them are the batch, (N); all of them if left out
 */
export function makeViews(
  images: Tensor,
  parameters: ViewParameters,
  size: number,
  rows?: Tensor,
): Views {
  return scope(() => pairsOf(viewsOfImages(images, parameters, size, rows), parameters));
}

/** Makes only the views a that `makeViews` makes: (N, 3, S, S), float32. */
export function makeFirstViews(
  images: Tensor,
  parameters: ViewParameters,
  size: number,
  rows?: Tensor,
): Tensor {
  return viewsOfImages(images, firstViews(parameters), size, rows);
}

/**
 * Makes views of crops that were cut out, resized and flipped before, where images are decoded: changes colours, blurs and
 * solarises as the parameters say.
 *
 * @param crops (2N, 3, S, S), uint8, first all views a, then all b
 * @param parameters those that the crops were cut by, with the size of each image
 */
export function makeViewsOfCrops(crops: Tensor, parameters: ViewParameters): Views {
  return scope(() => pairsOf(viewsOfCrops(crops, parameters), parameters));
}

/** Makes only the views a that `makeViewsOfCrops` makes, from crops (N, 3, S, S) for them alone. */
export function makeFirstViewsOfCrops(crops: Tensor, parameters: ViewParameters): Tensor {
  return viewsOfCrops(crops, firstViews(parameters));
}

function pairsOf(views: Tensor, parameters: ViewParameters): Views {
  const { device } = views, { solarized } = parameters;
  return {
    views,
    manipulation: manipulationOf(parameters, device),
    solarized: solarized && upload(solarized, device, undefined, "bool"),
  };
}

function viewsOfImages(images: Tensor, parameters: ViewParameters, size: number, rows?: Tensor): Tensor {
  const [available, , height, width] = images.shape, count = parameters.sizes.length / 2;
  checkImages(images, count, rows?.shape[0] ?? available);
  checkSizes(parameters.sizes, height, width);
  checkCrops(parameters);
  return viewsFrom(parameters, images.device, size, Math.max(height * width, size * size), (chunk) => {
    const image = chunk.views.remainder(count);
    const chosen = images.indexSelect(0, rows === undefined ? image : rows.indexSelect(0, image));
    resizedCrop(chosen, chunk.table.slice(1, BOX.start, BOX.end), size, chunk.out);
  });
}

function viewsOfCrops(crops: Tensor, parameters: ViewParameters): Tensor {
  const [available, , size, width] = crops.shape, count = parameters.flipped.length;
  checkImages(crops, count, available);
  if (size !== width) {
    throw new RangeError(`Cannot make views: crops must be square, they are ${size} x ${width}`);
  }
  return viewsFrom(parameters, crops.device, size, size * size, (chunk) => {
    chunk.out.copy_(crops.indexSelect(0, chunk.views)).div_(255);
  });
}

/** Some rows of the plan: which views they are, their numbers, and where their pixels go. */
interface Chunk {
  readonly views: Tensor;
  readonly table: Tensor;
  readonly out: Tensor;
}

function viewsFrom(
  parameters: ViewParameters,
  device: string,
  size: number,
  pixels: number,
  cut: (chunk: Chunk) => void,
): Tensor {
  const limit = CHUNK_ELEMENTS[device === "cpu" ? "cpu" : "gpu"];
  const most = Math.max(1, Math.floor(limit / (3 * pixels)));
  return autocast(device, null, () =>
    scope(() => {
      const views = coloredViews(parameters, device, size, most, cut);
      blurSome_(views, parameters.sigma, most);
      solarizeSome_(views, parameters.solarized, most);
      return views;
    }));
}

function coloredViews(
  parameters: ViewParameters,
  device: string,
  size: number,
  most: number,
  cut: (chunk: Chunk) => void,
): Tensor {
  const { groups, viewOfRow, rowOfView, table } = planViews(parameters), count = viewOfRow.length;
  const sorted = empty([count, 3, size, size], { device });
  const views = upload(viewOfRow, device);
  const numbers = upload(table, device, [count, COLUMNS]);
  inChunks(0, count, most, (start, end) =>
    cut({
      views: views.slice(0, start, end),
      table: numbers.slice(0, start, end),
      out: sorted.slice(0, start, end),
    }));
  for (const group of groups) {
    inChunks(group.start, group.end, most, (start, end) => {
      changeColors_(sorted.slice(0, start, end), numbers.slice(0, start, end), group);
      if (end > group.grayStart) grayscale_(sorted.slice(0, Math.max(start, group.grayStart), end));
    });
  }
  // Without colour changes they never left their places.
  if (rowOfView.every((row, view) => row === BigInt(view))) return sorted;
  return sorted.indexSelect(0, upload(rowOfView, device));
}

/** Calls `body` for the rows from `start` to `end`, at most so many at once, each time in a scope of its own. */
function inChunks(
  start: number,
  end: number,
  most: number,
  body: (start: number, end: number) => void,
): void {
  for (; start < end; start += most) scope(() => body(start, Math.min(start + most, end)));
}

function changeColors_(views: Tensor, table: Tensor, { hueAt }: Group): void {
  if (hueAt === null) return;
  for (let blend = 0; blend <= BLENDS.count; blend++) {
    if (blend === hueAt) shiftHue_(views, table.select(1, TURN));
    const start = BLENDS.start + blend * BLENDS.width;
    if (blend < BLENDS.count) blend_(views, table.slice(1, start, start + BLENDS.width));
  }
}

function blurSome_(views: Tensor, sigma: Float32Array<ArrayBuffer> | null, most: number): void {
  if (sigma === null) return;
  const taps = blurKernelSize(views.shape[2]);
  changeSome_(views, sigma, most, (chosen, strength) => gaussianBlur(chosen, strength, taps));
}

function solarizeSome_(views: Tensor, mask: Uint8Array<ArrayBuffer> | null, most: number): void {
  if (mask !== null) changeSome_(views, Float32Array.from(mask), most, solarize);
}

/** Replaces the views whose strength is above 0 by what `change` makes of them. */
function changeSome_(
  views: Tensor,
  strength: Float32Array<ArrayBuffer>,
  most: number,
  change: (chosen: Tensor, strength: Tensor) => Tensor,
): void {
  const { device } = views;
  const chosen = BigInt64Array.from(strength.keys().filter((i) => strength[i] > 0).map(BigInt));
  inChunks(0, chosen.length, most, (start, end) => {
    const part = chosen.slice(start, end);
    const rows = upload(part, device);
    const strengths = upload(Float32Array.from(part, (i) => strength[Number(i)]), device);
    views.indexCopy_(0, rows, change(views.indexSelect(0, rows), strengths));
  });
}

function manipulationOf({ crops, flipped, sizes }: ViewParameters, device: string): Tensor {
  const matrices = viewMatrices(crops, flipped, sizes), half = matrices.length / 2;
  const manipulation = relativeManipulation(matrices.subarray(0, half), matrices.subarray(half));
  return upload(manipulation, device, [sizes.length / 2, 2, 3]);
}

function checkImages(images: Tensor, wanted: number, found: number): void {
  if (images.ndim !== 4 || images.shape[1] !== 3 || images.dtype !== "uint8") {
    throw new TypeError(`Cannot make views: images must be uint8[count, 3, height, width], got ${images}`);
  }
  if (found !== wanted) {
    throw new RangeError(`Cannot make views: the parameters are for ${wanted} images, got ${found}`);
  }
}

function checkSizes(sizes: Int32Array, height: number, width: number): void {
  for (let i = 0; i < sizes.length; i += 2) {
    if (sizes[i] === height && sizes[i + 1] === width) continue;
    throw new RangeError(
      `Cannot make views: the parameters are for images of ${sizes[i]} x ${
        sizes[i + 1]
      }, got ${height} x ${width}`,
    );
  }
}

function checkCrops({ crops, sizes }: ViewParameters): void {
  for (let i = 0; i < crops.length; i += 4) {
    const [top, left, height, width] = crops.subarray(i, i + 4), size = (i / 2) % sizes.length;
    if (
      top >= 0 && left >= 0 && height > 0 && width > 0 &&
      top + height <= sizes[size] && left + width <= sizes[size + 1]
    ) continue;
    throw new RangeError(
      `Cannot crop view ${i / 4}: ${height} x ${width} from (${top}, ${left}) is not inside an image of ` +
        `${sizes[size]} x ${sizes[size + 1]}`,
    );
  }
}
