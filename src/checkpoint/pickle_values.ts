/**
 * What Python's pickled values are here. Nothing in this module, or that reads pickles, runs or imports anything: what
 * is not plain data becomes a record of its names.
 *
 * | Python | here |
 * | --- | --- |
 * | None, bool, str | null, boolean, string |
 * | int | number, or bigint beyond the safe integers |
 * | float | number |
 * | bytes, bytearray | Uint8Array |
 * | list | array |
 * | tuple, torch.Size | frozen array |
 * | dict, OrderedDict, defaultdict, Counter | Map |
 * | set, frozenset | Set |
 * | a class or function | {@linkcode PickleGlobal} |
 * | any other object | {@linkcode PickleObject} |
 *
 * @module
 */

/** A class or function that a pickle names. It is not looked up anywhere. */
export class PickleGlobal {
  /** The Python module, for instance `torch`. */
  readonly module: string;
  /** The name in the module, for instance `FloatStorage`. */
  readonly name: string;

  /** Notes the two names. */
  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  /** Module and name with a dot between; Python 2's names of the built-in modules become Python 3's. */
  get path(): string {
    const module = PYTHON_3_MODULES.get(this.module) ?? this.module;
    return `${module}.${this.name}`;
  }
}

/** Pickles up to protocol 2 name modules as Python 2 did. */
const PYTHON_3_MODULES: ReadonlyMap<string, string> = new Map([
  ["__builtin__", "builtins"],
  ["copy_reg", "copyreg"],
]);

/** An object of a class that is not known here: an inert record of how it would have been made. */
export class PickleObject {
  /** The Python module of its class, or of the function that would have made it. */
  readonly module: string;
  /** The name of its class, or of the function. */
  readonly name: string;
  /** What the class or function would have been called with. */
  readonly args: readonly unknown[];
  /** What the object's state would have been set to, mostly a Map of its attributes. */
  state: unknown = null;
  /** What would have been appended to it, where it is a kind of list. */
  items: unknown[] | undefined = undefined;
  /** What would have been stored in it, where it is a kind of dict. */
  entries: Map<unknown, unknown> | undefined = undefined;

  /** Notes what would have been called with what. */
  constructor({ module, name }: PickleGlobal, args: readonly unknown[]) {
    this.module = module;
    this.name = name;
    this.args = args;
  }
}

/** Whether a value read from a pickle is a dict whose keys are strings. */
export function isStringMap(value: unknown): value is Map<string, unknown> {
  return value instanceof Map && value.keys().every((key) => typeof key === "string");
}
