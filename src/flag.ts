/**
 * The kinds of flags: how a value is read, from text or from JSON, and what help and error messages say of it.
 *
 * @module
 */

import { z } from "zod";

/** What help and error messages say of a flag. */
export interface FlagInfo {
  /** What it means. */
  readonly description: string;
  /** What stands for its value in the help, such as `<number>`; empty for a flag without a value. */
  readonly placeholder: string;
  /** What its value must be, to follow "it takes". */
  readonly expected: string;
  /** Its default, in words. */
  readonly fallback: string;
  /** Whether it may be given several times: its values are a list then. */
  readonly repeats?: boolean;
}

/** A kind of value: its zod type reads text as the command line has it, and JSON. */
interface Kind<T> extends Pick<FlagInfo, "placeholder" | "expected" | "repeats"> {
  readonly type: z.ZodType<T>;
}

const information = z.registry<FlagInfo>();

/**
 * A flag with a default of its own.
 *
 * @internal
 */
export function flag<T>(kind: Kind<T>, fallback: T, description: string): z.ZodType<T> {
  const { type, placeholder, expected, repeats = false } = kind;
  const info = {
    ...{ description, placeholder, expected, repeats },
    fallback: repeats ? "none" : describe(fallback, placeholder),
  };
  return type.prefault(fallback as never).register(information, info);
}

/**
 * A flag whose default, described in words, follows from other flags.
 *
 * @internal
 */
export function dependent<T>(kind: Kind<T>, fallback: string, description: string): z.ZodType<T | undefined> {
  const { type, placeholder, expected } = kind;
  return type.optional().register(information, { description, placeholder, expected, fallback });
}

/**
 * What was said of a flag when it was made.
 *
 * @internal
 */
export function infoOf(type: z.ZodType): FlagInfo {
  const info = information.get(type);
  if (info === undefined) throw new TypeError("Cannot describe a type that is no flag");
  return info;
}

/** A value as it is written on the command line; the reverse of reading it. */
export function formatValue(value: unknown): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  if (Array.isArray(value)) return value.length === 0 ? "0" : value.join(",");
  if (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3) return value.toExponential();
  return String(value);
}

function describe(value: unknown, placeholder: string): string {
  if (placeholder === "") return value ? "on" : "off";
  return value === "" ? "none" : formatValue(value);
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Text that is a number, such as `.5`, `4.` or `1e-3`, becomes one; everything else stays what it is. */
function readNumber(value: unknown): unknown {
  return typeof value === "string" && NUMBER.test(value) ? Number(value) : value;
}

function readSwitch(value: unknown): unknown {
  const number = readNumber(value);
  return number === 0 ? false : number === 1 ? true : value;
}

function readPair(value: unknown): unknown {
  return typeof value === "string" && value.includes(",")
    ? value.split(",").map((part) => part.trim())
    : value;
}

function readWidths(value: unknown): unknown {
  if (typeof value === "number") return readWidths(String(value));
  if (typeof value !== "string") return value;
  return ["0", "-1"].includes(value) ? [] : value.split(",").map((width) => readNumber(width.trim()));
}

/**
 * A number from `min` to `max`, where `above` is a bound that is not reached itself.
 *
 * @internal
 */
export function number(limits: { min?: number; max?: number; above?: number } = {}): Kind<number> {
  const { min, max, above } = limits;
  let type = z.number();
  if (min !== undefined) type = type.min(min);
  if (max !== undefined) type = type.max(max);
  if (above !== undefined) type = type.gt(above);
  return {
    type: z.preprocess(readNumber, type),
    placeholder: "<number>",
    expected: `a number${describeLimits(limits)}`,
  };
}

/**
 * A whole number from `min` on.
 *
 * @internal
 */
export function whole(limits: { min: number }): Kind<number> {
  return {
    type: z.preprocess(readNumber, z.int().min(limits.min)),
    placeholder: "<number>",
    expected: `a whole number${describeLimits(limits)}`,
  };
}

function describeLimits({ min, max, above }: { min?: number; max?: number; above?: number }): string {
  const limits = [
    above === undefined ? "" : ` above ${above}`,
    min === undefined ? "" : ` of at least ${formatValue(min)}`,
    max === undefined ? "" : ` of at most ${max}`,
  ];
  return limits.filter((limit) => limit !== "").join(" and");
}

/**
 * Any integer that a number holds exactly.
 *
 * @internal
 */
export function integer(): Kind<number> {
  const type = z.preprocess(readNumber, z.int());
  return { type, placeholder: "<number>", expected: "a whole number of at most 53 bits" };
}

/**
 * A number for both views or, separated by a comma, one for view a and one for view b.
 *
 * @internal
 */
export function perView(
  { type, placeholder, expected }: Kind<number>,
): Kind<number | readonly [a: number, b: number]> {
  return {
    type: z.preprocess(readPair, z.union([type, z.tuple([type, type]).readonly()])),
    placeholder: `${placeholder}[,${placeholder}]`,
    expected: `${expected}, or two, separated by a comma, for view a and view b`,
  };
}

/**
 * A number of steps, or -1 for no limit.
 *
 * @internal
 */
export function limit(): Kind<number> {
  const type = z.preprocess(readNumber, z.union([z.literal(-1), z.int().min(1)]));
  return { type, placeholder: "<number>", expected: "a whole number of at least 1, or -1 for no limit" };
}

/**
 * A number of devices, or `auto`.
 *
 * @internal
 */
export function devices(): Kind<number | "auto"> {
  const type = z.preprocess(readNumber, z.union([z.literal("auto"), z.int().min(0)]));
  return { type, placeholder: "<number>", expected: "a whole number of at least 0, or auto" };
}

/**
 * One of some words or numbers.
 *
 * @internal
 */
export function choice<const T extends string | number>(choices: readonly T[]): Kind<T> {
  const read = (value: unknown) => choices.some((one) => typeof one === "number") ? readNumber(value) : value;
  return {
    type: z.preprocess(read, z.literal([...choices])),
    placeholder: `<${choices.length > 3 && typeof choices[0] === "string" ? "name" : choices.join("|")}>`,
    expected: `one of ${choices.join(", ")}`,
  };
}

/**
 * Any text.
 *
 * @internal
 */
export function text(placeholder: string): Kind<string> {
  return { type: z.string(), placeholder, expected: "text" };
}

/**
 * The path of a folder, which is not empty.
 *
 * @internal
 */
export function folder(): Kind<string> {
  return { type: z.string().min(1), placeholder: "<folder>", expected: "the path of a folder" };
}

/**
 * The path of a file, which is not empty.
 *
 * @internal
 */
export function file(): Kind<string> {
  return { type: z.string().min(1), placeholder: "<file>", expected: "the path of a file" };
}

/**
 * Off or on, written 0 or 1.
 *
 * @internal
 */
export function toggle(): Kind<boolean> {
  return { type: z.preprocess(readSwitch, z.boolean()), placeholder: "<0|1>", expected: "0 or 1" };
}

/**
 * Off, or on where the flag is present: it takes no value.
 *
 * @internal
 */
export function present(): Kind<boolean> {
  return { ...toggle(), placeholder: "" };
}

/**
 * Widths of layers, separated by commas; 0 or -1 stands for none.
 *
 * @internal
 */
export function widths(): Kind<readonly number[]> {
  return {
    type: z.preprocess(readWidths, z.array(z.int().min(1)).readonly()),
    placeholder: "<list>",
    expected: "whole numbers of at least 1, separated by commas, or 0 for none",
  };
}

/**
 * One of some names, or the path of a TypeScript module.
 *
 * @internal
 */
export function nameOrModule(names: readonly string[]): Kind<string> {
  return {
    type: z.string().refine((value) => names.includes(value) || isModulePath(value)),
    placeholder: "<name|file>",
    expected: `one of ${names.join(", ")}, or the path of a module, such as ./my_method.ts`,
  };
}

/** Whether a value names a module: it ends as TypeScript and JavaScript files do. */
export function isModulePath(value: string): boolean {
  return /\.m?[jt]s$/.test(value);
}

/**
 * Values of a module's own flags, each as name=value. The flag may be given several times.
 *
 * @internal
 */
export function assignments(): Kind<readonly string[]> {
  const read = (value: unknown) => typeof value === "string" ? [value] : value;
  return {
    type: z.preprocess(read, z.array(z.string().regex(/^[A-Za-z_]\w*=/)).readonly()),
    placeholder: "<name=value>",
    expected: "a name and a value, such as ema_base=0.9",
    repeats: true,
  };
}

/**
 * A value that is not looked at.
 *
 * @internal
 */
export function anything(placeholder: string): Kind<unknown> {
  return { type: z.unknown(), placeholder, expected: "anything" };
}
