/**
 * Every operator of libtorch by its name, with types: `aten.topk(x, 5)`, `aten.sum(x, [0], { keepdim: true })`.
 *
 * @module
 */

import type { Aten } from "./aten_types.d.ts";
import { DTYPE_NUMBERS } from "./dtype.ts";
import { type Argument, callAll, callOne, operatorSchemas } from "./operator.ts";
import { Generator } from "./random.ts";
import { isCallable, parseSchema, type Schema, type SchemaArgument, type SchemaType } from "./schema.ts";
import { Tensor } from "./tensor.ts";

/** Arguments by name. */
type Named = Readonly<Record<string, unknown>>;

/** An overload, ready to be called. */
interface Overload {
  readonly schema: Schema;
  readonly positional: number;
  readonly places: ReadonlyMap<string, number>;
  /** The arguments that it writes to and returns, such as `out`; empty for most. */
  readonly outputs: readonly string[];
  /** Whether arguments are names of enumerators, which the shim knows by number. */
  readonly enumerators: boolean;
  /** Defaults that the schema itself lacks, by the arguments' places. */
  readonly fallbacks: readonly (readonly [place: number, value: unknown])[];
  /** Whether it returns one tensor. */
  readonly single: boolean;
}

/** libtorch's numbers of enumerators, by their names in PyTorch. */
const ENUMERATORS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ScalarType: DTYPE_NUMBERS,
  MemoryFormat: { contiguous: 0, preserve: 1, channels_last: 2, channels_last_3d: 3 },
  Layout: { strided: 0 },
};

const DEVICE = /^[a-z]+(:\d+)?$/;

function prepare(schema: Schema): Overload {
  const { arguments: parameters, results } = schema;
  return {
    schema,
    positional: parameters.filter(({ keyword }) => !keyword).length,
    places: new Map(parameters.map(({ name }, i) => [name, i])),
    outputs: parameters.filter(({ keyword, written }) => keyword && written).map(({ name }) => name),
    enumerators: parameters.some(({ type }) => type.base in ENUMERATORS),
    fallbacks: parameters.flatMap(({ fallback }, i) =>
      fallback === undefined ? [] : [[i, fallback] as const]
    ),
    single: results.length === 1 && results[0].type.base === "Tensor" && !results[0].type.list,
  };
}

/** Whether a value can be passed as one of a type. */
function fits(type: SchemaType, value: unknown): boolean {
  if (value === null) return type.optional;
  if (Array.isArray(value)) {
    return type.list && (value.length === 0 || fitsElement(type, value[0]));
  }
  // One number stands for all elements of a list of a fixed length.
  if (type.list) return type.length !== null && typeof value === "number" && fitsElement(type, value);
  return fitsElement(type, value);
}

function fitsElement({ base, list, optionalElements }: SchemaType, value: unknown): boolean {
  if (value instanceof Tensor) return base === "Tensor";
  switch (typeof value) {
    case "number":
      return base === "Scalar" || base === "float" || (base === "int" && Number.isInteger(value)) ||
        base === "QScheme";
    case "bigint":
      return base === "int" || base === "Scalar";
    case "boolean":
      return base === "bool" || (base === "Scalar" && !list);
    case "string":
      return base in ENUMERATORS
        ? value in ENUMERATORS[base]
        : base === "str" || (base === "Device" && DEVICE.test(value) && !(value in DTYPE_NUMBERS));
    default:
      return value instanceof Generator ? base === "Generator" : value === null && optionalElements;
  }
}

/** Whether an overload takes these arguments; where it is `lenient`, what may be None may also be left out. */
function takes(overload: Overload, args: readonly unknown[], named: Named | null, lenient: boolean): boolean {
  const { schema: { arguments: parameters }, positional, places } = overload;
  if (args.length > positional) return false;
  if (named !== null) {
    for (const name in named) {
      const place = places.get(name);
      if (place === undefined || place < args.length) return false;
    }
  }
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i], value = i < args.length ? args[i] : named?.[parameter.name];
    if (value === undefined ? !canOmit(parameter, lenient) : !fits(parameter.type, value)) return false;
  }
  return true;
}

function canOmit({ hasDefault, type }: SchemaArgument, lenient: boolean): boolean {
  return hasDefault || (lenient && type.optional);
}

/** Calls an overload that takes the arguments. */
function invoke(overload: Overload, args: unknown[], named: Named | null): unknown {
  const { schema, places, outputs, enumerators, fallbacks, single } = overload;
  if (named !== null) { for (const name in named) args[places.get(name)!] = named[name]; }
  if (enumerators) {
    for (let i = 0; i < args.length; i++) {
      const value = args[i];
      if (typeof value !== "string") continue;
      const { base } = schema.arguments[i].type;
      if (base in ENUMERATORS) args[i] = ENUMERATORS[base][value];
    }
  }
  for (const [i, value] of fallbacks) args[i] ??= value;
  if (outputs.length > 0) {
    return intoOutputs(
      schema.key,
      args as Argument[],
      outputs.map((name) => named![name]),
    );
  }
  if (single) return callOne(schema.key, args as Argument[]);
  const results = callAll(schema.key, ...args as Argument[]);
  return results.length === 0 ? undefined : results.length === 1 ? results[0] : results;
}

/** Calls an overload that writes to given tensors, and returns those. */
function intoOutputs(key: string, args: readonly Argument[], outputs: readonly unknown[]): unknown {
  for (const result of callAll(key, ...args)) if (result instanceof Tensor) result[Symbol.dispose]();
  return outputs.length === 1 ? outputs[0] : outputs;
}

/** Properties that `await` and `JSON.stringify` ask any object for. */
const OTHERS_ASK: readonly string[] = ["then", "toJSON"];

function isNamed(value: unknown): value is Named {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function operator(name: string): ((...args: unknown[]) => unknown) | undefined {
  const schemas = operatorSchemas(`aten::${name}`).map(parseSchema);
  if (schemas.length === 0) return undefined;
  const overloads = schemas.filter(isCallable).map(prepare)
    // The functional forms come first; of those, the one without an overload's name.
    .sort((a, b) => a.outputs.length - b.outputs.length);
  return (...args) => {
    const last = args[args.length - 1], named = isNamed(last) ? last : null;
    if (named !== null) args.pop();
    for (const overload of overloads) {
      if (takes(overload, args, named, false)) return invoke(overload, args, named);
    }
    for (const overload of overloads) {
      if (takes(overload, args, named, true)) return invoke(overload, args, named);
    }
    throw new TypeError(explain(name, schemas, args, named));
  };
}

function explain(
  name: string,
  schemas: readonly Schema[],
  args: readonly unknown[],
  named: Named | null,
): string {
  const given = [
    ...args.map(kindOf),
    ...Object.entries(named ?? {}).map(([key, value]) => `${key}: ${kindOf(value)}`),
  ].join(", ");
  const known = schemas.map(({ key, arguments: parameters }) => {
    const list = parameters.map((each) =>
      `${each.name}${each.hasDefault ? "?" : ""}: ${typeName(each.type)}`
    );
    return `${key}(${list.join(", ")})`;
  });
  return `Cannot call aten.${name}(${given}): it takes ${known.join(" or ")}`;
}

function kindOf(value: unknown): string {
  if (value instanceof Tensor) return "Tensor";
  if (Array.isArray(value)) return `[${value.length > 0 ? kindOf(value[0]) : ""}]`;
  return typeof value === "string" ? JSON.stringify(value) : value === null ? "null" : typeof value;
}

function typeName({ base, list, optional, length }: SchemaType): string {
  return `${base}${list ? `[${length ?? ""}]` : ""}${optional ? "?" : ""}`;
}

/**
 * All operators of the loaded libtorch.
 *
 * Arguments are those of ATen's schemas, in order or, in an object at the end, by name. The overload follows from the
 * arguments. Dtypes, devices and memory formats are given by name. Results are what the schema says: a tensor, a list,
 * a tuple of several, a number. Operators that end in an underscore change their first argument and return it; with
 * `out` they write to that tensor and return it. Everything else is as in `call`, which is beneath.
 *
 * @throws {TypeError} if no overload takes the arguments, or libtorch has no such operator
 * @throws {TorchError} if libtorch refuses the values
 * @example
 * ```ts
 * import { aten, tensor } from "@stec/stec";
 * const x = tensor([[3, 1, 2], [9, 8, 7]]);
 * const [values, indices] = aten.topk(x, 2);
 * const total = aten.sum(x, [0], { keepdim: true, dtype: "float64" });
 * ```
 */
export const aten: Aten = Object.create(
  // Operators that were used are properties of `aten` itself; only names that are new to it come here.
  new Proxy({}, {
    get(_, name, known) {
      if (typeof name === "symbol" || OTHERS_ASK.includes(name)) return undefined;
      const found = operator(name);
      if (found === undefined) throw new TypeError(`Cannot call aten.${name}: libtorch has no such operator`);
      Object.defineProperty(known, name, { value: found, enumerable: true });
      return found;
    },
  }),
);
