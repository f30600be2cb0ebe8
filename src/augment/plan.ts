/**
 * In what order views are worked on, so that a batch in which each view has its own order of colour changes still takes
 * few operations: views that change their hue at the same position lie side by side, and the three other changes are
 * blends, which one call applies whatever their order.
 *
 * @module
 */

import { blendWeights } from "./color_jitter.ts";
import { COLOR_STEPS, HUE, type ViewParameters } from "./parameters.ts";

/** Columns of `Plan.table`: a crop's box as `resizedCrop` takes it. */
export const BOX = { start: 0, end: 5 } as const;
/** Columns of `Plan.table`: the weights of the three blends, in their order. */
export const BLENDS = { start: 5, count: 3, width: 3 } as const;
/** Column of `Plan.table`: the turn of the hue. */
export const TURN = 14;
/** The number of columns of `Plan.table`. */
export const COLUMNS = 15;

/** Rows that take the same operations. */
export interface Group {
  /** The first row. */
  readonly start: number;
  /** The row after the last. */
  readonly end: number;
  /** Rows from here to the end become grey. */
  readonly grayStart: number;
  /** At which of the four positions the hue changes; null where no colour changes. */
  readonly hueAt: number | null;
}

/** The views, sorted into groups. */
export interface Plan {
  /** The groups, in the order of their rows. */
  readonly groups: readonly Group[];
  /** The view in each row. */
  readonly viewOfRow: BigInt64Array<ArrayBuffer>;
  /** The row of each view. */
  readonly rowOfView: BigInt64Array<ArrayBuffer>;
  /** The numbers that operations need of each row's view, (2N, COLUMNS). */
  readonly table: Float32Array<ArrayBuffer>;
}

/** The group of views without colour changes; the others are numbered by the position of the hue. */
const UNCHANGED = 4;

/** Sorts the views of a batch into groups and lays out their numbers. */
export function planViews(parameters: ViewParameters): Plan {
  const { jittered, gray, order } = parameters, views = gray.length;
  const buckets: number[][] = Array.from({ length: 2 * (UNCHANGED + 1) }, () => []);
  for (let view = 0; view < views; view++) {
    const program = jittered[view] ? order.subarray(4 * view, 4 * view + 4).indexOf(HUE) : UNCHANGED;
    buckets[2 * program + gray[view]].push(view);
  }
  const viewOfRow = new BigInt64Array(views), rowOfView = new BigInt64Array(views);
  const table = new Float32Array(views * COLUMNS), groups: Group[] = [];
  let row = 0;
  for (let program = 0; program <= UNCHANGED; program++) {
    const [colored, grayed] = [buckets[2 * program], buckets[2 * program + 1]];
    const start = row, grayStart = start + colored.length;
    for (const view of colored.concat(grayed)) {
      viewOfRow[row] = BigInt(view);
      rowOfView[view] = BigInt(row);
      putRow(table.subarray(row * COLUMNS, ++row * COLUMNS), parameters, view);
    }
    if (row > start) {
      groups.push({ start, end: row, grayStart, hueAt: program === UNCHANGED ? null : program });
    }
  }
  return { groups, viewOfRow, rowOfView, table };
}

function putRow(into: Float32Array, parameters: ViewParameters, view: number): void {
  const { crops, flipped, order, factors } = parameters;
  for (let i = 0; i < 4; i++) into[i] = crops[4 * view + i];
  into[4] = flipped[view];
  let at: number = BLENDS.start;
  for (let position = 0; position < 4; position++) {
    const step = COLOR_STEPS[order[4 * view + position]];
    if (step === "hue") continue;
    into.set(blendWeights(step, factors[4 * view + order[4 * view + position]]), at);
    at += BLENDS.width;
  }
  into[TURN] = factors[4 * view + HUE];
}
