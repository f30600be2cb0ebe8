/**
 * Two views of each image of a batch, and the efference copy that relates them.
 *
 * Every operation works on the pixels of many views at once, on the device where the images lie. The parameters of a
 * batch reach the device in one upload.
 *
 * @module
 */

import { autocast } from "../torch/autograd.ts";
import { empty, upload } from "../torch/create.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { resizedCrop } from "./crop.ts";
import { BOX_COLUMNS, type Slot, type ViewParameters } from "./parameters.ts";
import { changedRows, manipulations, type Plan, planViews, runsOf, sortsViews } from "./plan.ts";

/** Two views of each of N images. */
export interface Views {
  /** Pixels in [0, 1], first all views a, then all b: (2N, 3, S, S), float32. */
  readonly views: Tensor;
  /** The efference copy M_ab of each pair, (N, 2, 3), float32. */
  readonly manipulation: Tensor;
  /** Which views the manipulation loss leaves out, such as solarized ones: (2N), bool; null where it never does. */
  readonly solarized: Tensor | null;
}

/**
 * Pixels that are worked on at once, in all channels. On a CPU they should stay in its cache; a GPU wants as much work
 * as its memory bears.
 */
const CHUNK_ELEMENTS = { cpu: 1 << 19, gpu: 1 << 27 } as const;
/** Row numbers travel as float32, which is exact up to here. */
const MOST_ROWS = 1 << 24;

/**
 * Makes two views of each image, as the parameters say.
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
  return inFloat32(images.device, () => pairsOf(viewsOfImages(images, parameters, size, rows)));
}

/** Makes only the views a that `makeViews` makes: (N, 3, S, S), float32. */
export function makeFirstViews(
  images: Tensor,
  parameters: ViewParameters,
  size: number,
  rows?: Tensor,
): Tensor {
  return inFloat32(images.device, () => viewsOfImages(images, parameters.firstViews(), size, rows).pixels());
}

/**
 * Makes views of crops that were cut out, resized and flipped before, where images are decoded. Only the pixel
 * transforms are left to do.
 *
 * @param crops (2N, 3, S, S), uint8, first all views a, then all b
 * @param parameters those that the crops were cut by, with the size of each image
 */
export function makeViewsOfCrops(crops: Tensor, parameters: ViewParameters): Views {
  return inFloat32(crops.device, () => pairsOf(viewsOfCrops(crops, parameters)));
}

/** Makes only the views a that `makeViewsOfCrops` makes, from crops (N, 3, S, S) for them alone. */
export function makeFirstViewsOfCrops(crops: Tensor, parameters: ViewParameters): Tensor {
  return inFloat32(crops.device, () => viewsOfCrops(crops, parameters.firstViews()).pixels());
}

/** Whatever precision the network works in, pixels are float32. */
function inFloat32<T>(device: string, body: () => T): T {
  return autocast(device, null, () => scope(body));
}

function pairsOf(work: Work): Views {
  return { views: work.pixels(), manipulation: work.manipulation(), solarized: work.excluded() };
}

function viewsOfImages(images: Tensor, parameters: ViewParameters, size: number, rows?: Tensor): Work {
  const [available, , height, width] = images.shape, count = parameters.images;
  checkImages(images, count, rows?.shape[0] ?? available);
  checkSizes(parameters.sizes, height, width);
  checkBoxes(parameters);
  const work = new Work(parameters, images.device, size, Math.max(height * width, size * size));
  work.fill((views, boxes, out) => {
    const image = views.remainder(count);
    const chosen = images.indexSelect(0, rows === undefined ? image : rows.indexSelect(0, image));
    resizedCrop(chosen, boxes, size, out);
  });
  return work;
}

function viewsOfCrops(crops: Tensor, parameters: ViewParameters): Work {
  const [available, , size, width] = crops.shape;
  checkImages(crops, parameters.views, available);
  if (size !== width) {
    throw new RangeError(`Cannot make views: crops must be square, they are ${size} x ${width}`);
  }
  const work = new Work(parameters, crops.device, size, size * size);
  work.fill((views, _boxes, out) => void out.copy_(crops.indexSelect(0, views)).div_(255));
  return work;
}

/** Views in the making. Its tensors belong to the scope in which it is made. */
class Work {
  readonly #parameters: ViewParameters;
  readonly #plan: Plan;
  /** Views that are worked on at once. */
  readonly #most: number;
  /** The pixels in the order of the plan's rows, (V, 3, S, S). */
  readonly #sorted: Tensor;
  /** The plan's table, (V, columns). */
  readonly #numbers: Tensor;
  readonly #manipulation: Tensor;
  readonly #viewOfRow: Tensor;
  readonly #rowOfView: Tensor;
  /** The rows that change, of transforms that do not sort the views. */
  readonly #changed: ReadonlyMap<Slot, Tensor>;

  /** @param elements the larger one of the pixels of an image and of a view */
  constructor(parameters: ViewParameters, device: string, size: number, elements: number) {
    const plan = planViews(parameters), { views, images, columns } = parameters;
    if (views > MOST_ROWS) {
      throw new RangeError(`Cannot make views: at most ${MOST_ROWS} at once, got ${views}`);
    }
    const copying = parameters.slots.filter((slot) => !sortsViews(slot));
    const changed = copying.map((slot) => changedRows(parameters, plan, slot));
    const numbers = [plan.table, views === images ? [] : manipulations(parameters)];
    const [sent, rows] = uploadTogether(numbers, [plan.viewOfRow, plan.rowOfView, ...changed], device);
    this.#parameters = parameters;
    this.#plan = plan;
    this.#most = Math.max(1, Math.floor(CHUNK_ELEMENTS[device === "cpu" ? "cpu" : "gpu"] / (3 * elements)));
    this.#sorted = empty([views, 3, size, size], { device });
    this.#numbers = sent[0].reshape(views, columns);
    this.#manipulation = sent[1].reshape(-1, 2, 3);
    [this.#viewOfRow, this.#rowOfView] = rows;
    this.#changed = new Map(copying.map((slot, i) => [slot, rows[2 + i]]));
  }

  /** Has the views cut out of their images. */
  fill(cut: (views: Tensor, boxes: Tensor, out: Tensor) => void): void {
    inChunks(0, this.#parameters.views, this.#most, (start, end) => {
      const boxes = this.#numbers.slice(0, start, end).slice(1, 0, BOX_COLUMNS);
      cut(this.#viewOfRow.slice(0, start, end), boxes, this.#sorted.slice(0, start, end));
    });
  }

  /** Changes the pixels, and returns them in the order of the views. */
  pixels(): Tensor {
    for (const stage of this.#plan.stages) {
      const changed = this.#changed.get(stage[0]);
      if (changed === undefined) this.#changeRuns(stage, 0, this.#parameters.views);
      else this.#changeSome(stage[0], changed);
    }
    return this.#inViewOrder(this.#sorted);
  }

  /** The efference copies, (N, 2, 3); none for views a alone. */
  manipulation(): Tensor {
    return this.#manipulation;
  }

  /** Which views the manipulation loss leaves out; null where it never does. */
  excluded(): Tensor | null {
    const groups = this.#parameters.excluding.map(({ column }) => this.#numbers.select(1, column));
    if (groups.length === 0) return null;
    return this.#inViewOrder(groups.reduce((sum, group) => sum.add(group)).gt(0));
  }

  /** Changes rows in place, run by run. What comes next is done while a chunk's pixels are at hand. */
  #changeRuns([slot, ...later]: readonly Slot[], start: number, end: number): void {
    if (slot === undefined) return;
    for (const run of runsOf(this.#plan, slot, this.#parameters.columns, start, end)) {
      inChunks(run.start, run.end, this.#most, (start, end) => {
        if (run.group > 0) {
          const views = this.#sorted.slice(0, start, end);
          const result = slot.transform.apply(
            views,
            columnsOf(this.#numbers.slice(0, start, end), slot),
            run.group,
          );
          if (result !== views) views.copy_(result);
        }
        this.#changeRuns(later, start, end);
      });
    }
  }

  /** Changes the views of some rows, copied together. */
  #changeSome(slot: Slot, changed: Tensor): void {
    inChunks(0, changed.shape[0], this.#most, (start, end) => {
      const rows = changed.slice(0, start, end);
      const numbers = columnsOf(this.#numbers.indexSelect(0, rows), slot);
      this.#sorted.indexCopy_(0, rows, slot.transform.apply(this.#sorted.indexSelect(0, rows), numbers, 1));
    });
  }

  #inViewOrder(rows: Tensor): Tensor {
    // Without grouped changes no view has left its place.
    if (this.#plan.rowOfView.every((row, view) => row === view)) return rows;
    return rows.indexSelect(0, this.#rowOfView);
  }
}

/** A transform's own columns of some rows. */
function columnsOf(rows: Tensor, { column, transform }: Slot): Tensor {
  return rows.slice(1, column + 1, column + 1 + transform.columns);
}

/** Sends lists of numbers and of whole numbers in one upload; the latter arrive as int64. */
function uploadTogether(
  numbers: readonly ArrayLike<number>[],
  whole: readonly ArrayLike<number>[],
  device: string,
): [numbers: Tensor[], whole: Tensor[]] {
  const lists = [...numbers, ...whole], ends: number[] = [];
  for (const { length } of lists) ends.push((ends.at(-1) ?? 0) + length);
  const starts = [0, ...ends], all = new Float32Array(ends.at(-1) ?? 0);
  lists.forEach((list, i) => all.set(list, starts[i]));
  const sent = upload(all, device), split = starts[numbers.length];
  const integers = sent.slice(0, split).to({ dtype: "int64" });
  const parts = lists.map((_, i) =>
    i < numbers.length
      ? sent.slice(0, starts[i], ends[i])
      : integers.slice(0, starts[i] - split, ends[i] - split)
  );
  return [parts.slice(0, numbers.length), parts.slice(numbers.length)];
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

function checkBoxes(parameters: ViewParameters): void {
  const { sizes, views } = parameters;
  for (let view = 0; view < views; view++) {
    const { top, left, height, width } = parameters.box(view), size = (2 * view) % sizes.length;
    if (
      top >= 0 && left >= 0 && height > 0 && width > 0 &&
      top + height <= sizes[size] && left + width <= sizes[size + 1]
    ) continue;
    throw new RangeError(
      `Cannot crop view ${view}: ${height} x ${width} from (${top}, ${left}) is not inside an image of ` +
        `${sizes[size]} x ${sizes[size + 1]}`,
    );
  }
}
