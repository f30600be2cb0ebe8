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

/** Output channels of a bottleneck block for each of its inner channels. */
export const EXPANSION = 4;

/** The stem and the width of a residual network. */
export interface EncoderSize {
  /** Channels of the first stage. */
  readonly width: number;
  /** True: a 7x7 first convolution; false: 3x3. */
  readonly firstConv: boolean;
}

/** The parameters and buffers of a residual network by torchvision's names, without the classifier, and their shapes. */
export function encoderShapes(
  arch: Architecture,
  { width, firstConv }: EncoderSize,
): Map<string, { readonly shape: readonly number[] }> {
  const { blocks, bottleneck } = LAYOUTS[arch], shapes = new Map<string, { shape: number[] }>();
  const addConv = (name: string, ...shape: number[]) => shapes.set(`${name}.weight`, { shape });
  const addBatchNorm = (name: string, channels: number) => {
    for (const each of ["weight", "bias", "running_mean", "running_var"]) {
      shapes.set(`${name}.${each}`, { shape: [channels] });
    }
    shapes.set(`${name}.num_batches_tracked`, { shape: [] });
  };
  const stem = firstConv ? 7 : 3;
  addConv("conv1", width, 3, stem, stem);
  addBatchNorm("bn1", width);
  let inputs = width;
  for (const [stage, count] of blocks.entries()) {
    const channels = width * 2 ** stage, outputs = bottleneck ? channels * EXPANSION : channels;
    for (let i = 0; i < count; i++) {
      const block = `layer${stage + 1}.${i}`, kernels = bottleneck ? [1, 3, 1] : [3, 3];
      let from = inputs;
      for (const [n, kernel] of kernels.entries()) {
        const to = n === kernels.length - 1 ? outputs : channels;
        addConv(`${block}.conv${n + 1}`, to, from, kernel, kernel);
        addBatchNorm(`${block}.bn${n + 1}`, to);
        from = to;
      }
      if (i === 0 && (stage > 0 || inputs !== outputs)) {
        addConv(`${block}.downsample.0`, outputs, inputs, 1, 1);
        addBatchNorm(`${block}.downsample.1`, outputs);
      }
      inputs = outputs;
    }
  }
  return shapes;
}
