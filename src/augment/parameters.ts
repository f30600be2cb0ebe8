/**
 * The parameters of views, drawn on the CPU before any pixel is touched.
 *
 * @module
 */

import { Random } from "../base/random.ts";
import { type Box, drawBox, type GeometricTransform, partsOf } from "./geometry.ts";
import type { PixelTransform, ViewRecipes } from "./transform.ts";

/** All that a draw depends on. */
export interface DrawKey {
  /** The run's seed, a safe integer. */
  readonly seed: number;
  /** The epoch, from 0. */
  readonly epoch: number;
  /** The step, from 0. */
  readonly step: number;
  /** The place of the first image at hand in the step's whole batch; the number of processes does not matter. */
  readonly first: number;
}

/** Columns of a view's box: top, left, height, width, and 1 for a flipped view, else 0. */
export const BOX_COLUMNS = 5;

/** A pixel transform's place in the table: a column for the group, then the transform's own. */
export interface Slot {
  /** The transform in the recipes of view a and view b; null where a recipe lacks it. */
  readonly recipes: readonly [a: PixelTransform | null, b: PixelTransform | null];
  /** What applies it to the views of both. */
  readonly transform: PixelTransform;
  /** The column of the group; 0 stands there for views that do not change. */
  readonly column: number;
}

/** The parameters of views of N images: views 0 to N - 1 are views a, N to 2N - 1 views b. */
export class ViewParameters {
  /** Height and width of each image: (N, 2). */
  readonly sizes: Int32Array<ArrayBuffer>;
  /** The pixel transforms, in the order in which they are applied. */
  readonly slots: readonly Slot[];
  /** A row for each view: its box, then the columns of each slot: (N or 2N, columns). */
  readonly table: Float32Array<ArrayBuffer>;
  /** Columns of the table. */
  readonly columns: number;

  /**
   * The parameters of a table.
   *
   * @param table filled with zeros, for two views of each image, if left out
   */
  constructor(
    sizes: Int32Array<ArrayBuffer>,
    slots: readonly Slot[],
    table: Float32Array<ArrayBuffer> = new Float32Array(sizes.length * columnsOf(slots)),
  ) {
    this.sizes = sizes;
    this.slots = slots;
    this.table = table;
    this.columns = columnsOf(slots);
  }

  /** Images. */
  get images(): number {
    return this.sizes.length / 2;
  }

  /** Views: one or two of each image. */
  get views(): number {
    return this.table.length / this.columns;
  }

  /** A view's row of the table. Writing to it changes the table. */
  row(view: number): Float32Array<ArrayBuffer> {
    return this.table.subarray(view * this.columns, (view + 1) * this.columns);
  }

  /** Where a view lies in its image. */
  box(view: number): Box {
    const [top, left, height, width, flipped] = this.row(view);
    return { top, left, height, width, flipped: flipped === 1 };
  }

  /** The group of a view for a transform; 0 for a view that does not change. */
  group(slot: Slot, view: number): number {
    return this.table[view * this.columns + slot.column];
  }

  /** What a transform has drawn for a view. */
  numbers({ column, transform }: Slot, view: number): Float32Array<ArrayBuffer> {
    return this.row(view).subarray(column + 1, column + 1 + transform.columns);
  }

  /** The slots whose changes the manipulation loss cannot see through. */
  get excluding(): Slot[] {
    return this.slots.filter(({ recipes }) =>
      recipes.some((transform) => transform?.excludesPair && transform.probability > 0)
    );
  }

  /** The parameters of views a alone. */
  firstViews(): ViewParameters {
    return new ViewParameters(this.sizes, this.slots, this.table.slice(0, this.images * this.columns));
  }

  /** The parameters of both views of one image. */
  ofImage(image: number): ViewParameters {
    const pair = new ViewParameters(this.sizes.slice(2 * image, 2 * image + 2), this.slots);
    pair.row(0).set(this.row(image));
    pair.row(1).set(this.row(this.images + image));
    return pair;
  }
}

function columnsOf(slots: readonly Slot[]): number {
  return slots.reduce((columns, { transform }) => columns + 1 + transform.columns, BOX_COLUMNS);
}

/** A step draws at most so many views: a stream's number has 32 bits, and 0 belongs to other purposes. */
const MOST_VIEWS = 0xffffffff;

/** The sizes of images that all have the same. */
export function equalSizes(count: number, height: number, width: number): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: 2 * count }, (_, i) => i % 2 === 0 ? height : width);
}

/** The random numbers of one view. */
function viewRandom(key: DrawKey, image: number, view: number): Random {
  return new Random(key.seed, key.epoch, key.step, 2 * (key.first + image) + view + 1);
}

/**
 * Draws the box alone of one view, as a worker that decodes its image needs it: {@linkcode drawViews} draws the same.
 *
 * @param geometry the geometric transforms of the view's recipe
 * @param image its number among the images at hand
 * @param view 0 for view a, 1 for view b
 */
export function drawGeometry(
  geometry: readonly GeometricTransform[],
  key: DrawKey,
  image: number,
  view: number,
  height: number,
  width: number,
): Box {
  return drawBox(geometry, viewRandom(key, image, view), height, width);
}

/**
 * Draws the parameters of two views of each image. A view's draws depend on its recipe, the key, the image's place in
 * the whole batch and the image's size alone.
 *
 * @param sizes height and width of each image at hand, (N, 2)
 * @throws {RangeError} if there are too many images, or a recipe is out of order
 */
export function drawViews(
  recipes: Pick<ViewRecipes, "a" | "b">,
  sizes: Int32Array<ArrayBuffer>,
  key: DrawKey,
): ViewParameters {
  const parts = [partsOf(recipes.a), partsOf(recipes.b)] as const;
  const parameters = new ViewParameters(sizes, slotsOf(parts[0].pixels, parts[1].pixels));
  const { images, views } = parameters;
  if (2 * key.first + views > MOST_VIEWS) {
    throw new RangeError(
      `Cannot draw views: a batch has at most ${(MOST_VIEWS - 1) / 2} images, got ${key.first + images}`,
    );
  }
  for (let i = 0; i < views; i++) {
    const image = i % images, view = i < images ? 0 : 1, random = viewRandom(key, image, view);
    const box = drawBox(parts[view].geometry, random, sizes[2 * image], sizes[2 * image + 1]);
    const row = parameters.row(i);
    row[0] = box.top,
      row[1] = box.left,
      row[2] = box.height,
      row[3] = box.width,
      row[4] = box.flipped ? 1 : 0;
    for (const { recipes, column } of parameters.slots) {
      if (recipes[view] !== null) drawInto(row, column, recipes[view], random);
    }
  }
  return parameters;
}

function drawInto(row: Float32Array, column: number, transform: PixelTransform, random: Random): void {
  const { probability, columns, draw, group } = transform;
  const changes = random.uniform() < probability;
  const numbers = row.subarray(column + 1, column + 1 + columns);
  draw?.(random, numbers);
  if (changes) row[column] = group?.(numbers) ?? 1;
}

/** Lays out the transforms of both recipes, each in its own order. Transforms that do the same work share a slot. */
function slotsOf(a: readonly PixelTransform[], b: readonly PixelTransform[]): Slot[] {
  const slots: Slot[] = [];
  let column = BOX_COLUMNS;
  const add = (ofA: PixelTransform | null, ofB: PixelTransform | null) => {
    const transform = (ofA ?? ofB)!;
    slots.push({ recipes: [ofA, ofB], transform, column });
    column += 1 + transform.columns;
  };
  let next = 0;
  for (const transform of a) {
    const partner = b.findIndex((other, i) => i >= next && worksAlike(transform, other));
    if (partner < 0) add(transform, null);
    else {
      b.slice(next, partner).forEach((other) => add(null, other));
      add(transform, b[partner]);
      next = partner + 1;
    }
  }
  b.slice(next).forEach((other) => add(null, other));
  return slots;
}

/** Whether one call can change the views of both: what the two draw may differ. */
function worksAlike(a: PixelTransform, b: PixelTransform): boolean {
  return a.apply === b.apply && a.columns === b.columns && a.excludesPair === b.excludesPair &&
    (a.group === undefined) === (b.group === undefined);
}
