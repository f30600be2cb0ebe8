/**
 * The order in which views are worked on. Views that take the same operations lie side by side, so that a batch in
 * which each view has its own order of color changes still takes few operations.
 *
 * @module
 */

import { relativeManipulation, viewMatrices } from "./efference.ts";
import type { Slot, ViewParameters } from "./parameters.ts";

/** Neighboring rows of one group. */
export interface Run {
  /** The first row. */
  readonly start: number;
  /** The row after the last. */
  readonly end: number;
  /** The group; 0 for views that do not change. */
  readonly group: number;
}

/** The views, sorted by the groups of the transforms that have groups of their own. */
export interface Plan {
  /** The view in each row. */
  readonly viewOfRow: readonly number[];
  /** The row of each view. */
  readonly rowOfView: readonly number[];
  /** The transforms in their order; neighbors that sort the views are one stage. */
  readonly stages: readonly (readonly Slot[])[];
  /** The parameters with the views in the order of the rows. */
  readonly table: Float32Array<ArrayBuffer>;
}

/** Sorts the views of a batch. */
export function planViews(parameters: ViewParameters): Plan {
  const { views, slots, columns, table } = parameters;
  let viewOfRow = Array.from({ length: views }, (_, view) => view);
  for (const slot of slots.filter(sortsViews).reverse()) {
    const groups = Map.groupBy(viewOfRow, (view) => parameters.group(slot, view));
    viewOfRow = [...groups].sort(([a], [b]) => a - b).flatMap(([, members]) => members);
  }
  const rowOfView = new Array<number>(views), sorted = new Float32Array(table.length);
  viewOfRow.forEach((view, row) => {
    rowOfView[view] = row;
    sorted.set(parameters.row(view), row * columns);
  });
  return { viewOfRow, rowOfView, stages: stagesOf(slots), table: sorted };
}

function stagesOf(slots: readonly Slot[]): Slot[][] {
  const stages: Slot[][] = [];
  for (const slot of slots) {
    const last = stages.at(-1);
    if (last !== undefined && sortsViews(last[0]) && sortsViews(slot)) last.push(slot);
    else stages.push([slot]);
  }
  return stages;
}

/** Whether views are sorted by the groups of a transform; the views that another one changes are copied together. */
export function sortsViews({ transform }: Slot): boolean {
  return transform.group !== undefined;
}

/** The runs of a transform among the rows from `start` to `end`. */
export function* runsOf(
  { table }: Plan,
  { column }: Slot,
  columns: number,
  start: number,
  end: number,
): Generator<Run> {
  const groupOf = (row: number) => table[row * columns + column];
  for (let first = start; first < end;) {
    const group = groupOf(first);
    let after = first + 1;
    while (after < end && groupOf(after) === group) after++;
    yield { start: first, end: after, group };
    first = after;
  }
}

/** The rows of the views that a transform changes, in the order of the views. */
export function changedRows(parameters: ViewParameters, { rowOfView }: Plan, slot: Slot): number[] {
  return rowOfView.filter((_, view) => parameters.group(slot, view) > 0);
}

/** The efference copy of each pair, (N, 2, 3). */
export function manipulations({ table, columns, sizes }: ViewParameters): Float32Array<ArrayBuffer> {
  const matrices = viewMatrices(table, sizes, columns), half = matrices.length / 2;
  return relativeManipulation(matrices.subarray(0, half), matrices.subarray(half));
}
