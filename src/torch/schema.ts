/**
 * The schemas of libtorch's operators, as its dispatcher prints them:
 * `aten::topk(Tensor self, SymInt k, int dim=-1) -> (Tensor values, Tensor indices)`.
 *
 * The grammar is described in PyTorch's `aten/src/ATen/native/README.md`.
 *
 * @module
 */

/** The type of an argument or a result. */
export interface SchemaType {
  /** The innermost type, such as `Tensor`, `int`, `bool`, `Scalar` or `ScalarType`. `SymInt` counts as `int`. */
  readonly base: string;
  /** Whether the whole value may be None. */
  readonly optional: boolean;
  /** Whether it is a list. */
  readonly list: boolean;
  /** Whether an element of the list may be None. */
  readonly optionalElements: boolean;
  /** The length of a list that a single number may stand for, as in `int[2]`; else null. */
  readonly length: number | null;
}

/** A default that a schema lacks. */
export type Fallback = number | boolean | readonly number[];

/** An argument of an operator. */
export interface SchemaArgument {
  /** Its name. */
  readonly name: string;
  /** Its type. */
  readonly type: SchemaType;
  /** Whether it may be left out. */
  readonly hasDefault: boolean;
  /** The default, where the schema itself has none. */
  readonly fallback?: Fallback;
  /** Whether it is passed by name only. */
  readonly keyword: boolean;
  /** Whether the operator writes to it. */
  readonly written: boolean;
}

/** A result of an operator. */
export interface SchemaResult {
  /** Its name, if it has one. */
  readonly name: string | null;
  /** Its type. */
  readonly type: SchemaType;
}

/** One overload of an operator. */
export interface Schema {
  /** The name with namespace and overload, such as `aten::add.Tensor`. */
  readonly key: string;
  /** All of it, as libtorch prints it. */
  readonly text: string;
  /** The name without them, such as `add`. */
  readonly name: string;
  /** The arguments in order. */
  readonly arguments: readonly SchemaArgument[];
  /** The results in order. */
  readonly results: readonly SchemaResult[];
}

/** Defaults that ATen's schemas lack and PyTorch's own functions have. */
const DEFAULTS: Readonly<Record<string, Readonly<Record<string, Fallback>>>> = {
  convolution: {
    stride: [1],
    padding: [0],
    dilation: [1],
    transposed: false,
    output_padding: [0],
    groups: 1,
  },
};

/**
 * Reads one schema.
 *
 * @throws {SyntaxError} if the text is not a schema
 */
export function parseSchema(text: string): Schema {
  const match = /^(\w+::(\w+)(?:\.\w+)?)\((.*)\) -> (.*)$/.exec(text);
  if (match === null) throw new SyntaxError(`Cannot read the schema ${text}`);
  const [, key, name, argumentList, resultList] = match;
  const parts = splitList(argumentList), star = parts.indexOf("*");
  const parsed = parts.flatMap((part, i) => {
    if (part === "*") return [];
    const [, type, argument, given] = /^(.*?) (\w+)(=.*)?$/s.exec(part)!;
    const fallback = DEFAULTS[name]?.[argument];
    return [{
      name: argument,
      type: parseType(type),
      hasDefault: given !== undefined || fallback !== undefined,
      fallback,
      keyword: star >= 0 && i > star,
      written: type.includes("!"),
    }];
  });
  const results = splitList(resultList.replace(/^\((.*)\)$/s, "$1")).map((part) => {
    const [, type, result] = /^(.*?)(?: (\w+))?$/s.exec(part)!;
    return { name: result ?? null, type: parseType(type) };
  });
  return { key, text, name, arguments: parsed, results };
}

function parseType(text: string): SchemaType {
  // Which arguments a result aliases, as in `Tensor(a!)`, does not matter to a caller.
  const plain = text.replaceAll(/\([^)]*\)/g, "");
  const [, base, optionalElements, list, length, optional] =
    /^([\w.]+)(\?(?=\[))?(\[(\d*)\])?(\?)?$/.exec(plain) ??
      [plain, plain];
  return {
    base: base.replace(/^Sym/, "").replace(/^Int$/, "int").replace(/^Bool$/, "bool"),
    optional: optional !== undefined,
    list: list !== undefined,
    optionalElements: optionalElements !== undefined,
    length: length ? Number(length) : null,
  };
}

/** Splits at commas outside of brackets and strings. */
function splitList(text: string): string[] {
  const parts: string[] = [];
  let depth = 0, quoted = false, start = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"' && text[i - 1] !== "\\") quoted = !quoted;
    if (quoted) continue;
    if ("([".includes(char)) depth++;
    if (")]".includes(char)) depth--;
    if (char !== "," || depth > 0) continue;
    parts.push(text.slice(start, i).trim());
    start = i + 1;
  }
  parts.push(text.slice(start).trim());
  return parts.filter((part) => part !== "");
}

/** The types that a program can pass or receive. */
const KNOWN = new Set(
  ("Tensor int float bool Scalar str ScalarType Layout MemoryFormat Device Generator QScheme").split(" "),
);

/** Whether all arguments and results are of types that a program can pass or receive. */
export function isCallable({ arguments: parameters, results }: Schema): boolean {
  return [...parameters, ...results].every(({ type }) => KNOWN.has(type.base));
}
