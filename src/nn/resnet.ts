/**
 * Residual networks (He et al., 2016) without their classifier.
 *
 * @module
 */

import { globalAveragePool2d, maxPool2d } from "../torch/functional.ts";
import { Generator } from "../torch/random.ts";
import { scope } from "../torch/scope.ts";
import type { Tensor } from "../torch/tensor.ts";
import { type Architecture, EXPANSION, LAYOUTS } from "./architectures.ts";
import { BatchNorm, Conv2d, Linear, Sequential } from "./layers.ts";
import type { Encoder } from "./encoder.ts";
import { Layer } from "./module.ts";

/** How a ResNet is built. */
export interface ResNetOptions {
  /** Which ResNet. */
  readonly arch: Architecture;
  /** True: 7x7 convolution of stride 2; false: 3x3 of stride 1, for small images. */
  readonly firstConv: boolean;
  /** Whether a 3x3 max-pooling of stride 2 follows the first convolution. */
  readonly maxPool: boolean;
  /** Channels of the first stage, 64 in the paper; each later stage has twice as many. */
  readonly width?: number;
  /** Where the initial weights are drawn from. */
  readonly generator?: Generator | null;
}

/** The shortcut where a block changes the shape: 1x1 convolution and BatchNorm. */
function downsample(
  inputs: number,
  outputs: number,
  stride: number,
  generator: Generator | null,
): Sequential {
  return new Sequential({
    0: new Conv2d(inputs, outputs, 1, { stride, generator }),
    1: new BatchNorm(outputs),
  });
}

/** Two 3x3 convolutions beside a shortcut: relu(bn2(conv2(relu(bn1(conv1 x)))) + shortcut x). */
export class BasicBlock extends Layer {
  readonly #conv1: Conv2d;
  readonly #bn1: BatchNorm;
  readonly #conv2: Conv2d;
  readonly #bn2: BatchNorm;
  readonly #downsample: Sequential | null;

  /** From `inputs` to `channels` channels; a stride of 2 halves height and width. */
  constructor(inputs: number, channels: number, stride: number, generator: Generator | null) {
    super();
    this.#conv1 = this.child("conv1", new Conv2d(inputs, channels, 3, { stride, padding: 1, generator }));
    this.#bn1 = this.child("bn1", new BatchNorm(channels));
    this.#conv2 = this.child("conv2", new Conv2d(channels, channels, 3, { padding: 1, generator }));
    this.#bn2 = this.child("bn2", new BatchNorm(channels));
    const changes = stride !== 1 || inputs !== channels;
    this.#downsample = changes
      ? this.child("downsample", downsample(inputs, channels, stride, generator))
      : null;
  }

  /** (N, inputs, H, W) to (N, channels, H / stride, W / stride). */
  override forward(input: Tensor): Tensor {
    return scope(() => {
      const inner = this.#bn1.forward(this.#conv1.forward(input), { relu: true });
      const shortcut = this.#downsample?.forward(input) ?? input;
      return this.#bn2.forward(this.#conv2.forward(inner), { shortcut, relu: true });
    });
  }
}

/** A 3x3 convolution between two 1x1 ones beside a shortcut; the last BatchNorm's weight starts at 0. */
export class Bottleneck extends Layer {
  readonly #conv1: Conv2d;
  readonly #bn1: BatchNorm;
  readonly #conv2: Conv2d;
  readonly #bn2: BatchNorm;
  readonly #conv3: Conv2d;
  readonly #bn3: BatchNorm;
  readonly #downsample: Sequential | null;

  /** From `inputs` to 4 x `channels` channels; a stride of 2 halves height and width. */
  constructor(inputs: number, channels: number, stride: number, generator: Generator | null) {
    super();
    const outputs = channels * EXPANSION;
    this.#conv1 = this.child("conv1", new Conv2d(inputs, channels, 1, { generator }));
    this.#bn1 = this.child("bn1", new BatchNorm(channels));
    this.#conv2 = this.child("conv2", new Conv2d(channels, channels, 3, { stride, padding: 1, generator }));
    this.#bn2 = this.child("bn2", new BatchNorm(channels));
    this.#conv3 = this.child("conv3", new Conv2d(channels, outputs, 1, { generator }));
    this.#bn3 = this.child("bn3", new BatchNorm(outputs, { zeroWeight: true }));
    const changes = stride !== 1 || inputs !== outputs;
    this.#downsample = changes
      ? this.child("downsample", downsample(inputs, outputs, stride, generator))
      : null;
  }

  /** (N, inputs, H, W) to (N, 4 channels, H / stride, W / stride). */
  override forward(input: Tensor): Tensor {
    return scope(() => {
      const first = this.#bn1.forward(this.#conv1.forward(input), { relu: true });
      const second = this.#bn2.forward(this.#conv2.forward(first), { relu: true });
      const shortcut = this.#downsample?.forward(input) ?? input;
      return this.#bn3.forward(this.#conv3.forward(second), { shortcut, relu: true });
    });
  }
}

/**
 * A ResNet that turns images (N, 3, H, W) into features (N, featureWidth): the average-pooled last stage.
 *
 * It carries the reference's unused classifier `fc` (1000, features), so that names agree with its checkpoints.
 */
export class ResNet extends Layer implements Encoder {
  /** The width of the features: 8 times the first stage's, or 32 times with bottlenecks. */
  readonly featureWidth: number;
  /** The unused classifier. */
  readonly fc: Linear;
  readonly #conv1: Conv2d;
  readonly #bn1: BatchNorm;
  readonly #maxPool: boolean;
  readonly #stages: readonly Sequential[];

  /** A network with fresh weights. */
  constructor(options: ResNetOptions) {
    super();
    const { arch, firstConv, maxPool, width = 64, generator = null } = options;
    const { blocks, bottleneck } = LAYOUTS[arch];
    const Block = bottleneck ? Bottleneck : BasicBlock;
    const expansion = bottleneck ? EXPANSION : 1;
    this.#conv1 = this.child(
      "conv1",
      new Conv2d(3, width, firstConv ? 7 : 3, {
        stride: firstConv ? 2 : 1,
        padding: firstConv ? 3 : 1,
        generator,
      }),
    );
    this.#bn1 = this.child("bn1", new BatchNorm(width));
    this.#maxPool = maxPool;
    let inputs = width;
    this.#stages = blocks.map((count, stage) => {
      const channels = width * 2 ** stage;
      const layers: Record<string, Layer> = {};
      for (let block = 0; block < count; block++) {
        layers[block] = new Block(inputs, channels, block === 0 && stage > 0 ? 2 : 1, generator);
        inputs = channels * expansion;
      }
      return this.child(`layer${stage + 1}`, new Sequential(layers));
    });
    this.featureWidth = inputs;
    this.fc = this.child("fc", new Linear(inputs, 1000, { generator }));
  }

  /** All that require gradients but those of the unused classifier. */
  override learnedParameters(): Tensor[] {
    const unused = this.fc.parameters();
    return super.learnedParameters().filter((parameter) => !unused.includes(parameter));
  }

  /** (N, 3, H, W) to (N, featureWidth). */
  override forward(images: Tensor): Tensor {
    return scope(() => {
      let maps = scope(() => {
        const stem = this.#bn1.forward(this.#conv1.forward(images), { relu: true });
        return this.#maxPool ? maxPool2d(stem, 3, 2, 1) : stem;
      });
      for (const stage of this.#stages) maps = stage.forward(maps);
      return globalAveragePool2d(maps).flatten(1);
    });
  }
}
