/**
 * The TypeScript declarations of all operators, written from their schemas.
 *
 * @module
 */

import { describeLibrary } from "./library.ts";
import { operatorSchemas } from "./operator.ts";
import { isCallable, parseSchema, type Schema, type SchemaArgument, type SchemaType } from "./schema.ts";

const ARGUMENTS: Readonly<Record<string, string>> = {
  int: "Int",
  float: "number",
  bool: "boolean",
  str: "string",
  ScalarType: "DType",
  Layout: '"strided"',
  MemoryFormat: "AnyMemoryFormat",
  Device: "string",
  QScheme: "number",
};

const RESULTS: Readonly<Record<string, string>> = {
  ...ARGUMENTS,
  int: "number",
  Scalar: "number",
  ScalarType: "number",
};

/** Words that cannot name a parameter. */
const RESERVED = new Set(
  "self this in for new with default delete function var let const class return if else do while true false null"
    .split(" ").slice(1),
);

function argumentType({ base, list, optional, optionalElements, length }: SchemaType): string {
  let type = ARGUMENTS[base] ?? base;
  if (list) {
    const element = optionalElements ? `(${type} | null)` : type;
    type = length === null ? `readonly ${element}[]` : `${type} | readonly ${element}[]`;
  }
  return optional ? `${type} | null` : type;
}

function resultType({ base, list, optional }: SchemaType): string {
  const type = `${RESULTS[base] ?? base}${list ? "[]" : ""}`;
  return optional ? `${type} | null` : type;
}

function returnType({ results }: Schema): string {
  if (results.length === 0) return "void";
  if (results.length === 1) return resultType(results[0].type);
  const named = results.every(({ name }) => name !== null);
  return `[${
    results.map(({ name, type }) => `${named ? `${safe(name!)}: ` : ""}${resultType(type)}`).join(", ")
  }]`;
}

function safe(name: string): string {
  return RESERVED.has(name) ? `${name}_` : name;
}

/** The signatures of an overload: all arguments in order, or a few in order and the rest by name. */
function signatures(schema: Schema): string[] {
  const positional = schema.arguments.filter(({ keyword }) => !keyword), result = returnType(schema);
  const required = positional.findLastIndex(({ hasDefault }) => !hasDefault) + 1;
  const tensors = positional.findIndex(({ type }) => type.base !== "Tensor" || type.optional);
  const counts = new Set([positional.length, required, tensors < 0 ? positional.length : tensors]);
  return [...counts].sort((a, b) => b - a).map((count) => {
    const rest = schema.arguments.filter((each) => each.keyword || positional.indexOf(each) >= count);
    // TypeScript has no optional parameter before a required one.
    const optionalFrom = rest.every(isOptional) ? required : count;
    const parameters = positional.slice(0, count).map((each, i) =>
      `${safe(each.name)}${i >= optionalFrom ? "?" : ""}: ${argumentType(each.type)}`
    );
    if (rest.length > 0) parameters.push(namedArguments(rest));
    return `(${parameters.join(", ")}): ${result};`;
  });
}

function isOptional({ hasDefault, type }: SchemaArgument): boolean {
  return hasDefault || type.optional;
}

function namedArguments(rest: readonly SchemaArgument[]): string {
  const members = rest.map((each) =>
    `${each.name}${isOptional(each) ? "?" : ""}: ${argumentType(each.type)}`
  );
  return `named${rest.every(isOptional) ? "?" : ""}: { ${members.join("; ")} }`;
}

/** The schemas of an operator that an editor shows beside its name, without those that only add outputs. */
function documentation(overloads: readonly Schema[]): string {
  const shown = overloads.filter(({ arguments: parameters }) =>
    parameters.every(({ written, keyword }) => !written || !keyword)
  );
  return `/** ${(shown.length > 0 ? shown : overloads).map(({ text }) => `\`${text}\``).join(", ")} */`;
}

/** The content of `aten_types.d.ts` for the loaded libtorch. */
export function atenTypes(): string {
  const schemas = operatorSchemas().filter((text) => text.startsWith("aten::")).map(parseSchema).filter(
    isCallable,
  );
  const operators = Map.groupBy(schemas, ({ name }) => name);
  const members = [...operators].map(([name, overloads]) => {
    const outputs = (each: Schema) =>
      each.arguments.filter(({ keyword, written }) => keyword && written).length;
    const lines = overloads.sort((a, b) => outputs(a) - outputs(b)).flatMap(signatures);
    return `  ${documentation(overloads)}\n  ${name}: {\n${
      [...new Set(lines)].map((line) => `    ${line}`).join("\n")
    }\n  };`;
  });
  return `// Written by \`deno run -A scripts/write_aten_types.ts\` from the schemas of libtorch ${describeLibrary().version}.

import type { DType } from "./dtype.ts";
import type { Generator } from "./random.ts";
import type { Tensor } from "./tensor.ts";

/** A whole number; those beyond 2^53 are bigints. */
export type Int = number | bigint;
/** A number of any type, which libtorch fits to the tensor beside it. */
export type Scalar = number | bigint | boolean;
/** An order in memory. */
export type AnyMemoryFormat = "contiguous" | "preserve" | "channels_last" | "channels_last_3d";

/** Every operator of ATen by its name, one signature for each way to call an overload. */
export interface Aten {
${members.join("\n")}
}
`;
}
