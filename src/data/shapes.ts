/**
 * The built-in data set: ten kinds of shape, drawn at random, so that the program runs and learns without
 * any file. An image shows four copies of one shape, so that nearly every crop holds one. The class is the
 * silhouette alone; position, size, rotation, colours and background are drawn
 * independently of it, and a shape is as often brighter as darker than what lies behind it. So a linear
 * classifier on raw pixels learns next to nothing, while a small convolutional network tells all ten apart.
 *
 * Every machine draws the same bytes: only the arithmetic that IEEE 754 rounds exactly is used
 * (+, -, *, / and square root; no sine, no power).
 *
 * @module
 */

import { Random } from "../base/random.ts";
import type { ImageDataset, Split } from "./dataset.ts";
import type { MemoryEntry } from "./entry.ts";

/** Height and width of the images. */
export const SHAPES_SIZE = 32;

/** How many images a split has. */
export const SHAPES_COUNT: Readonly<Record<Split, number>> = { train: 10_000, test: 2_000 };

/** The shapes in the catalog. */
export const SHAPES: MemoryEntry = {
  title: "shapes",
  hint: "made by the program",
  defaults: { image_size: SHAPES_SIZE, first_conv: false, maxpool1: false, jitter_strength: 0.5 },
  stored: "memory",
  load: (_, split) => Promise.resolve(loadShapes(split)),
  comparesBaselines: true,
};

/** What {@linkcode loadShapes} can be asked for. */
export interface ShapesOptions {
  /** How many images are drawn, the first ones of the split; default: all of {@linkcode SHAPES_COUNT}. */
  readonly count?: number;
}

/** Signed distance from a point to the edge of a shape that just fits the unit circle; negative inside. */
type Distance = (x: number, y: number) => number;

const PLANE = SHAPES_SIZE * SHAPES_SIZE;
const SEED = 20221128;

/** Signed distance to a polygon with vertices x0, y0, x1, y1, ...: nearest edge, sign by even-odd crossings. */
function polygon(...vertices: readonly number[]): Distance {
  return (x, y) => {
    let nearest = Infinity, inside = false;
    let ax = vertices[vertices.length - 2], ay = vertices[vertices.length - 1];
    for (let i = 0; i < vertices.length; i += 2) {
      const bx = vertices[i], by = vertices[i + 1];
      const ex = bx - ax, ey = by - ay, px = x - ax, py = y - ay;
      const along = Math.min(1, Math.max(0, (px * ex + py * ey) / (ex * ex + ey * ey)));
      const dx = px - ex * along, dy = py - ey * along;
      nearest = Math.min(nearest, dx * dx + dy * dy);
      if ((ay > y) !== (by > y) && px < ex * py / ey) inside = !inside;
      ax = bx, ay = by;
    }
    return inside ? -Math.sqrt(nearest) : Math.sqrt(nearest);
  };
}

/** Signed distance to a disc. */
function disc(centreX: number, radius: number): Distance {
  return (x, y) => Math.sqrt((x - centreX) * (x - centreX) + y * y) - radius;
}

/** What lies in the first shape and not in the second. */
function without(whole: Distance, hole: Distance): Distance {
  return (x, y) => Math.max(whole(x, y), -hole(x, y));
}

/** A five-pointed star: the outer vertices on the unit circle, the inner ones at radius 0.42. */
const STAR = [
  ...[0, 1, 0.246869, 0.339787, 0.951057, 0.309017, 0.399444, -0.129787, 0.587785, -0.809017],
  ...[0, -0.42, -0.587785, -0.809017, -0.399444, -0.129787, -0.951057, 0.309017, -0.246869, 0.339787],
];

/** The silhouettes by class. Each is its own mirror image up to a rotation, so a flip never changes a class. */
const SILHOUETTES: Readonly<Record<string, Distance>> = {
  circle: disc(0, 0.9),
  square: polygon(-0.75, -0.75, 0.75, -0.75, 0.75, 0.75, -0.75, 0.75),
  triangle: polygon(0, 1, -0.866025, -0.5, 0.866025, -0.5),
  star: polygon(...STAR),
  cross: polygon(
    ...[0.3, 0.95, 0.3, 0.3, 0.95, 0.3, 0.95, -0.3, 0.3, -0.3, 0.3, -0.95],
    ...[-0.3, -0.95, -0.3, -0.3, -0.95, -0.3, -0.95, 0.3, -0.3, 0.3, -0.3, 0.95],
  ),
  ring: without(disc(0, 0.95), disc(0, 0.5)),
  crescent: without(disc(0, 1), disc(0.5, 0.8)),
  arrow: polygon(1, 0, 0.1, 0.8, 0.1, 0.3, -0.95, 0.3, -0.95, -0.3, 0.1, -0.3, 0.1, -0.8),
  hourglass: polygon(-0.7, 0.7, 0.7, 0.7, 0.12, 0, 0.7, -0.7, -0.7, -0.7, -0.12, 0),
  corner: polygon(-0.75, 0.75, -0.75, -0.75, 0.75, -0.75, 0.75, -0.2, -0.2, -0.2, -0.2, 0.75),
};
const CLASSES = Object.keys(SILHOUETTES);
const DISTANCES = Object.values(SILHOUETTES);

/** Brightness of a colour as the eye weighs it, in [0, 255]. */
function luma(rgb: ArrayLike<number>): number {
  return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
}

/** A muted colour: colour jitter hides most of it, so that what two views share is mainly the shape. */
function drawColour(random: Random): number[] {
  const grey = random.uniform(40, 215);
  return [grey + random.uniform(-40, 40), grey + random.uniform(-40, 40), grey + random.uniform(-40, 40)];
}

/** A colour whose brightness is at least `apart` from another's, so that the shape shows in grey as well. */
function contrastingColour(random: Random, other: ArrayLike<number>, apart: number): number[] {
  for (;;) {
    const colour = drawColour(random);
    if (Math.abs(luma(colour) - luma(other)) >= apart) return colour;
  }
}

/** A direction, each equally likely: a point of the disc, pulled to the circle, for the lack of an exact sine. */
function direction(random: Random): readonly [cosine: number, sine: number] {
  for (;;) {
    const x = random.uniform(-1, 1), y = random.uniform(-1, 1), square = x * x + y * y;
    if (square > 0.01 && square < 1) return [x / Math.sqrt(square), y / Math.sqrt(square)];
  }
}

/** Copies of the shape along each side of an image, so that nearly every crop shows one. */
const COPIES = 2;
const CELL = SHAPES_SIZE / COPIES;

/** How much of each pixel the copies of the shape cover, in [0, 1], after each was placed at random in its cell. */
function drawCoverage(coverage: Float64Array, distance: Distance, random: Random): void {
  coverage.fill(0);
  const radius = random.uniform(0.35 * CELL, 0.55 * CELL);
  for (let copy = 0; copy < COPIES * COPIES; copy++) {
    const slack = Math.max(0, CELL / 2 - radius) + 1;
    const centreX = (copy % COPIES + 0.5) * CELL + random.uniform(-slack, slack);
    const centreY = (Math.floor(copy / COPIES) + 0.5) * CELL + random.uniform(-slack, slack);
    coverCopy(coverage, distance, radius, [centreX, centreY], direction(random));
  }
}

function coverCopy(
  coverage: Float64Array,
  distance: Distance,
  radius: number,
  [centreX, centreY]: readonly [number, number],
  [cosine, sine]: readonly [number, number],
): void {
  const within = (centre: number) => {
    const reach = radius * 1.25;
    return [Math.max(0, Math.floor(centre - reach)), Math.min(SHAPES_SIZE, Math.ceil(centre + reach))];
  };
  const [top, bottom] = within(centreY), [left, right] = within(centreX);
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const x = (column + 0.5 - centreX) / radius, y = (row + 0.5 - centreY) / radius;
      const pixels = radius * distance(x * cosine + y * sine, y * cosine - x * sine);
      const i = row * SHAPES_SIZE + column;
      coverage[i] = Math.max(coverage[i], Math.min(1, Math.max(0, 0.5 - pixels)));
    }
  }
}

/** Cells of the background's cloud texture along each side. */
const CLOUD_CELLS = 4;

/** A background's brightness around its colour: a slope in a random direction and soft clouds upon it. */
function drawBackground(shade: Float64Array, random: Random): void {
  const [slopeX, slopeY] = direction(random);
  const steepness = random.uniform(0, 20) / (SHAPES_SIZE / 2);
  const strength = random.uniform(5, 20);
  const knots = CLOUD_CELLS + 1;
  const cloud = Float64Array.from({ length: knots * knots }, () => random.uniform(-strength, strength));
  const cell = SHAPES_SIZE / CLOUD_CELLS, middle = (SHAPES_SIZE - 1) / 2;
  for (let row = 0, i = 0; row < SHAPES_SIZE; row++) {
    const y = (row + 0.5) / cell, top = Math.floor(y), v = y - top;
    for (let column = 0; column < SHAPES_SIZE; column++, i++) {
      const x = (column + 0.5) / cell, left = Math.floor(x), u = x - left, knot = top * knots + left;
      const upper = cloud[knot] * (1 - u) + cloud[knot + 1] * u;
      const lower = cloud[knot + knots] * (1 - u) + cloud[knot + knots + 1] * u;
      shade[i] = upper * (1 - v) + lower * v +
        steepness * ((column - middle) * slopeX + (row - middle) * slopeY);
    }
  }
}

/** The strongest grain; it is the mean of four even draws, so most of it is weaker. */
const GRAIN = 12;

/** Draws one image of a class into its place. */
function drawImage(pixels: Uint8Array, label: number, random: Random, scratch: Scratch): void {
  const { coverage, shade } = scratch;
  const back = drawColour(random);
  const front = contrastingColour(random, back, 60);
  drawCoverage(coverage, DISTANCES[label], random);
  drawBackground(shade, random);
  for (let i = 0; i < PLANE; i++) {
    const bits = random.uint32();
    const grain = ((bits & 0xff) + (bits >>> 8 & 0xff) + (bits >>> 16 & 0xff) + (bits >>> 24)) / 510 - 1;
    const common = shade[i] * (1 - coverage[i]) + grain * GRAIN;
    for (let channel = 0; channel < 3; channel++) {
      const colour = back[channel] + (front[channel] - back[channel]) * coverage[i] + common;
      pixels[channel * PLANE + i] = Math.min(255, Math.max(0, Math.floor(colour + 0.5)));
    }
  }
}

/** Room that is used again for every image. */
interface Scratch {
  readonly coverage: Float64Array;
  readonly shade: Float64Array;
}

/**
 * Draws the built-in data set. Classes take turns, so that any first part of it is balanced.
 *
 * @throws {RangeError} where `count` is no whole number between 1 and the size of the split
 */
export function loadShapes(split: Split, options: ShapesOptions = {}): ImageDataset {
  const whole = SHAPES_COUNT[split], count = options.count ?? whole;
  if (!Number.isInteger(count) || count < 1 || count > whole) {
    throw new RangeError(`Cannot draw ${count} shapes: the ${split} split has 1 to ${whole}`);
  }
  const images = new Uint8Array(count * 3 * PLANE), labels = new Int32Array(count);
  const scratch = { coverage: new Float64Array(PLANE), shade: new Float64Array(PLANE) };
  for (let index = 0; index < count; index++) {
    labels[index] = index % CLASSES.length;
    const random = new Random(SEED, split === "train" ? 0 : 1, index);
    drawImage(images.subarray(index * 3 * PLANE, (index + 1) * 3 * PLANE), labels[index], random, scratch);
  }
  return {
    name: "shapes",
    split,
    images,
    labels,
    count,
    height: SHAPES_SIZE,
    width: SHAPES_SIZE,
    classes: CLASSES,
  };
}
