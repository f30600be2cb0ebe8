/**
 * The residual networks by name, without libtorch, so that the command line can list them.
 *
 * @module
 */

/** The shape of a residual network (He et al., 2016, table 1). */
export interface ResNetLayout {
  /** Blocks in each of the four stages. */
  readonly blocks: readonly [number, number, number, number];
  /** Whether its blocks are bottlenecks. */
  readonly bottleneck: boolean;
}

/** Names of the architectures. */
export type Architecture = "resnet18" | "resnet34" | "resnet50" | "resnet101" | "resnet152";

/** The layout of each architecture. */
export const LAYOUTS: Readonly<Record<Architecture, ResNetLayout>> = {
  resnet18: { blocks: [2, 2, 2, 2], bottleneck: false },
  resnet34: { blocks: [3, 4, 6, 3], bottleneck: false },
  resnet50: { blocks: [3, 4, 6, 3], bottleneck: true },
  resnet101: { blocks: [3, 4, 23, 3], bottleneck: true },
  resnet152: { blocks: [3, 8, 36, 3], bottleneck: true },
};

/** The names in the order of their depth. */
export const ARCHITECTURES = Object.keys(LAYOUTS) as readonly Architecture[];
