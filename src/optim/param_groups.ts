/**
 * Which parameters are optimised how.
 *
 * @module
 */

import type { Tensor } from "../torch/tensor.ts";

/** Parameters that share their settings. */
export interface ParameterGroup {
  /** What the group is called in messages and tests. */
  readonly name: string;
  /** The parameters by their full names. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  /** Weight of the L2 penalty's gradient, `weightDecay * w`. */
  readonly weightDecay: number;
  /** Whether steps are scaled by LARS's trust ratio. */
  readonly trustRatio: boolean;
}

/** Whether the name belongs to a bias or a BatchNorm, by the reference's rule: it contains "bias" or "bn". */
export function isBiasOrBatchNorm(name: string): boolean {
  return name.includes("bias") || name.includes("bn");
}

function select(
  parameters: Iterable<[string, Tensor]>,
  keep: (name: string) => boolean,
): Map<string, Tensor> {
  return new Map([...parameters].filter(([name, tensor]) => tensor.requiresGrad && keep(name)));
}

/**
 * The reference's three groups for LARS: the rest (LARS with weight decay), biases and BatchNorms (no weight decay),
 * the supervised head's weight (plain SGD with weight decay). A shortcut's BatchNorm, `downsample.1.weight`, is in the
 * first because its name says neither "bias" nor "bn".
 */
export function larsGroups(parameters: Iterable<[string, Tensor]>, weightDecay: number): ParameterGroup[] {
  const all = [...parameters];
  const isHead = (name: string) => name.includes("supervised_head");
  return [
    {
      name: "lars",
      parameters: select(all, (name) => !isBiasOrBatchNorm(name) && !isHead(name)),
      weightDecay,
      trustRatio: true,
    },
    { name: "sgd_no_decay", parameters: select(all, isBiasOrBatchNorm), weightDecay: 0, trustRatio: false },
    {
      name: "sgd_decay",
      parameters: select(all, (name) => !isBiasOrBatchNorm(name) && isHead(name)),
      weightDecay,
      trustRatio: false,
    },
  ];
}

/** One group with weight decay for all or, with `excludeBiasAndBatchNorm`, a second one without it for those. */
export function plainGroups(
  parameters: Iterable<[string, Tensor]>,
  weightDecay: number,
  excludeBiasAndBatchNorm: boolean,
): ParameterGroup[] {
  const all = [...parameters];
  const decays = (name: string) => !excludeBiasAndBatchNorm || !isBiasOrBatchNorm(name);
  const groups = [{ name: "decay", parameters: select(all, decays), weightDecay, trustRatio: false }];
  if (excludeBiasAndBatchNorm) {
    const rest = select(all, (name) => !decays(name));
    groups.push({ name: "no_decay", parameters: rest, weightDecay: 0, trustRatio: false });
  }
  return groups;
}
