/**
 * S-TEC as a library: tensors and autograd of libtorch, networks, data sets, views with their efference copies, the
 * self-supervised objective and its optimisers.
 *
 * Native memory is freed by scope: what is made inside `scope` is freed at its end, everything else by `using` or
 * `Symbol.dispose`.
 *
 * @example Linear regression
 * ```ts
 * import { Linear, plainGroups, scope, Sgd, tensor } from "@stec/stec";
 *
 * using x = tensor([[0], [1], [2], [3]]), y = tensor([[1], [3], [5], [7]]); // y = 2 x + 1
 * using model = new Linear(1, 1);
 * using sgd = new Sgd(plainGroups(model.namedParameters(), 0, false), { momentum: 0.9, nesterov: false });
 * for (let step = 0; step < 200; step++) {
 *   scope(() => {
 *     model.zeroGrad();
 *     const error = model.forward(x).sub(y);
 *     error.mul(error).mean().backward();
 *     sgd.step(0.02);
 *   });
 * }
 * console.log(model.weight.item().toFixed(2), model.bias?.item().toFixed(2)); // 2.00 1.00
 * ```
 *
 * @module
 */

export { aten } from "./src/torch/aten.ts";
export type { AnyMemoryFormat, Aten, Int, Scalar } from "./src/torch/aten_types.d.ts";
export * from "./src/torch/autograd.ts";
export * from "./src/torch/create.ts";
export * from "./src/torch/cuda.ts";
export * from "./src/torch/cuda_graph.ts";
export * from "./src/torch/device.ts";
export * from "./src/torch/dtype.ts";
export * from "./src/torch/foreach.ts";
export * from "./src/torch/functional.ts";
export { describeLibrary, type LibraryDescription, TorchError } from "./src/torch/library.ts";
export {
  type Argument,
  call,
  callAll,
  callInPlace,
  callList,
  operatorSchema,
  type Result,
} from "./src/torch/operator.ts";
export { Generator } from "./src/torch/random.ts";
export { type Counters, counters, dispose, keep, scope } from "./src/torch/scope.ts";
export * from "./src/torch/tensor.ts";
export * from "./src/nn/encoder.ts";
export * from "./src/nn/layers.ts";
export * from "./src/nn/module.ts";
export type { Architecture } from "./src/nn/architectures.ts";
export * from "./src/nn/resnet.ts";
export * from "./src/data/batch.ts";
export { type CifarName, loadCifar } from "./src/data/cifar.ts";
export * from "./src/data/dataset.ts";
export { loadShapes, type ShapesOptions } from "./src/data/shapes.ts";
export * from "./src/base/random.ts";
export * from "./src/augment/blur.ts";
export * from "./src/augment/color_jitter.ts";
export * from "./src/augment/crop.ts";
export * from "./src/augment/efference.ts";
export * from "./src/augment/flip.ts";
export * from "./src/augment/geometry.ts";
export * from "./src/augment/grayscale.ts";
export * from "./src/augment/parameters.ts";
export * from "./src/augment/recipe.ts";
export * from "./src/augment/solarize.ts";
export * from "./src/augment/transform.ts";
export * from "./src/augment/views.ts";
export { type Gathering, UNDIVIDED } from "./src/nn/peers.ts";
export * from "./src/methods/byol.ts";
export * from "./src/methods/byol_loss.ts";
export * from "./src/methods/feature_spread.ts";
export * from "./src/methods/linear_evaluation.ts";
export * from "./src/methods/manipulation_head.ts";
export * from "./src/methods/method.ts";
export * from "./src/methods/nt_xent.ts";
export * from "./src/methods/projection.ts";
export * from "./src/methods/precision.ts";
export { type AllMethodSettings } from "./src/methods/registry.ts";
export * from "./src/methods/relic.ts";
export * from "./src/methods/relic_loss.ts";
export * from "./src/methods/simclr.ts";
export * from "./src/methods/supervised_head.ts";
export * from "./src/methods/target_network.ts";
export * from "./src/optim/adam.ts";
export * from "./src/optim/grad_scaler.ts";
export * from "./src/optim/optimizer.ts";
export * from "./src/optim/param_groups.ts";
export * from "./src/optim/schedule.ts";
export * from "./src/optim/sgd.ts";
export { type LabelledFeatures } from "./src/evaluation/features.ts";
export { type LbfgsResult } from "./src/evaluation/lbfgs.ts";
export * from "./src/evaluation/linear_probe.ts";
export * from "./src/evaluation/nearest_neighbors.ts";
