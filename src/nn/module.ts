/**
 * Networks as trees of modules with named parameters and buffers, in PyTorch's naming.
 *
 * @module
 */

import { noGrad } from "../torch/autograd.ts";
import { isFloating } from "../torch/dtype.ts";
import { keep, scope } from "../torch/scope.ts";
import type { Tensor, ToOptions } from "../torch/tensor.ts";

/** Tensors by name, for example `layer1.0.conv1.weight`, in the order of their registration. */
export type StateDict = Map<string, Tensor>;

/** What a state dict lacks or has too much, compared with a module. */
export interface StateDictMismatch {
  /** Names that the module has and the state dict lacks. */
  readonly missing: readonly string[];
  /** Names that the state dict has and the module lacks. */
  readonly unexpected: readonly string[];
}

/**
 * A part of a network: it owns parameters (which learn), buffers (which do not) and further modules.
 *
 * Subclasses register what they own in the order that PyTorch does, so that names and order agree with its checkpoints.
 */
export abstract class Module implements Disposable {
  /** Whether the module trains: BatchNorm then uses the batch's statistics. Set by `train` and `eval`. */
  training = true;
  readonly #parameters = new Map<string, Tensor>();
  readonly #buffers = new Map<string, Tensor>();
  readonly #children = new Map<string, Module>();

  /** Registers a tensor that learns and returns it. The module owns it from now on. */
  protected parameter(name: string, value: Tensor): Tensor {
    this.#parameters.set(name, keep(value).requiresGrad_());
    return value;
  }

  /** Registers a tensor that is part of the state but does not learn, and returns it. */
  protected buffer(name: string, value: Tensor): Tensor {
    this.#buffers.set(name, keep(value));
    return value;
  }

  /** Registers a module inside this one and returns it. */
  protected child<M extends Module>(name: string, module: M): M {
    this.#children.set(name, module);
    return module;
  }

  /** The modules directly inside this one, by name. */
  children(): ReadonlyMap<string, Module> {
    return this.#children;
  }

  /** This module (named by the prefix) and all modules inside it. */
  *namedModules(prefix = ""): Generator<[name: string, module: Module]> {
    yield [prefix, this];
    for (const [name, child] of this.#children) yield* child.namedModules(join(prefix, name));
  }

  /** All parameters inside this module, with their full names. */
  *namedParameters(prefix = ""): Generator<[name: string, parameter: Tensor]> {
    for (const [name, parameter] of this.#parameters) yield [join(prefix, name), parameter];
    for (const [name, child] of this.#children) yield* child.namedParameters(join(prefix, name));
  }

  /** All buffers inside this module, with their full names. */
  *namedBuffers(prefix = ""): Generator<[name: string, buffer: Tensor]> {
    for (const [name, buffer] of this.#buffers) yield [join(prefix, name), buffer];
    for (const [name, child] of this.#children) yield* child.namedBuffers(join(prefix, name));
  }

  /** All parameters inside this module. */
  parameters(): Tensor[] {
    return Array.from(this.namedParameters(), ([, parameter]) => parameter);
  }

  /** The parameters that learn: those that back-propagation gives gradients. A module that ignores some leaves them out. */
  learnedParameters(): Tensor[] {
    const own = [...this.#parameters.values()].filter(({ requiresGrad }) => requiresGrad);
    const inner = Array.from(this.#children.values(), (child) => child.learnedParameters());
    return [...own, ...inner.flat()];
  }

  /** The number of elements of all parameters. */
  parameterCount(): number {
    return this.parameters().reduce((sum, parameter) => sum + parameter.numel, 0);
  }

  /** The module's own tensors, not copies: parameters and buffers, module by module as PyTorch orders them. */
  stateDict(prefix = ""): StateDict {
    const state: StateDict = new Map();
    for (const [name, parameter] of this.#parameters) state.set(join(prefix, name), parameter);
    for (const [name, buffer] of this.#buffers) state.set(join(prefix, name), buffer);
    for (const [name, child] of this.#children) {
      for (const [inner, tensor] of child.stateDict(join(prefix, name))) state.set(inner, tensor);
    }
    return state;
  }

  /**
   * Copies values into the module's tensors, converting dtype and device.
   *
   * @throws {RangeError} if a shape differs or, when `strict`, if names are missing or unexpected; nothing is changed then
   */
  loadStateDict(source: ReadonlyMap<string, Tensor>, strict = true): StateDictMismatch {
    const own = this.stateDict();
    const missing = [...own.keys()].filter((name) => !source.has(name));
    const unexpected = [...source.keys()].filter((name) => !own.has(name));
    const problems: string[] = [];
    if (strict && missing.length > 0) problems.push(`missing ${list(missing)}`);
    if (strict && unexpected.length > 0) problems.push(`unexpected ${list(unexpected)}`);
    for (const [name, target] of own) {
      const value = source.get(name);
      if (value !== undefined && String(value.shape) !== String(target.shape)) {
        problems.push(`${name} is [${value.shape}], wanted [${target.shape}]`);
      }
    }
    if (problems.length > 0) throw new RangeError(`Cannot load the state dict: ${problems.join("; ")}`);
    noGrad(() => {
      for (const [name, target] of own) {
        const value = source.get(name);
        if (value !== undefined) target.copy_(value);
      }
    });
    return { missing, unexpected };
  }

  /** Converts dtype (of floating-point tensors), device and memory format (of 4-D ones) in place. */
  to(options: Pick<ToOptions, "dtype" | "device" | "memoryFormat">): this {
    const { dtype, device, memoryFormat } = options;
    for (const tensor of this.stateDict().values()) {
      const options = {
        dtype: isFloating(tensor.dtype) ? dtype : undefined,
        device,
        memoryFormat: tensor.ndim === 4 ? memoryFormat : undefined,
      };
      const requiresGrad = tensor.requiresGrad;
      tensor.become(scope(() => tensor.detach().to(options)).requiresGrad_(requiresGrad));
    }
    return this;
  }

  /** Sets whether this module and all inside it train. */
  train(mode = true): this {
    this.training = mode;
    for (const child of this.#children.values()) child.train(mode);
    return this;
  }

  /** The opposite of `train`: running statistics are used and left alone. */
  eval(): this {
    return this.train(false);
  }

  /** Sets whether autograd follows the parameters of this module and all inside it. */
  requiresGrad_(value = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad_(value);
    return this;
  }

  /** Removes the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Frees all parameters and buffers. */
  [Symbol.dispose](): void {
    for (const tensor of this.stateDict().values()) tensor[Symbol.dispose]();
  }
}

/** A module from one tensor to another. */
export abstract class Layer extends Module {
  /** Computes the layer's output. */
  abstract forward(input: Tensor): Tensor;
}

function join(prefix: string, name: string): string {
  return prefix === "" ? name : `${prefix}.${name}`;
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 4).join(", ");
  return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}
