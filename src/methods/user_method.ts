/**
 * A method in a module of the user's own. Only the process that trains loads it, with the permissions of a run.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { messageOf, UsageError } from "../base/errors.ts";
import { Layer, Module } from "../nn/module.ts";
import type { Method } from "./method.ts";
import type { MethodBuilder } from "./registry.ts";

/** What such a module exports; nothing of it has been checked. */
interface UserModule {
  readonly build?: unknown;
  readonly flags?: unknown;
}

/**
 * Loads a module and reads its flags.
 *
 * @param path of the module
 * @param set the values of its flags, each as name=value
 * @throws {UsageError} in one sentence, if there is no such file, if it does not run, if an export is missing or of the
 * wrong kind, or if a value does not suit its flag
 */
export async function loadUserMethod(path: string, set: readonly string[]): Promise<MethodBuilder> {
  const { build, flags } = await load(path);
  if (typeof build !== "function") {
    throw refusal(path, `it must export a function build(settings, context), its build is ${kindOf(build)}`);
  }
  const own = readFlags(path, flags, set);
  return (settings, context) => {
    const method: unknown = build({ ...settings, ...own }, context);
    checkMethod(path, method);
    return method;
  };
}

/** The SHA-256 of a module's source, without what it imports, in hexadecimal digits. */
export async function hashUserMethod(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
}

async function load(path: string): Promise<UserModule> {
  try {
    await Deno.stat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UsageError(`Cannot load --method ${path}: there is no such file`);
  }
  try {
    return await import(pathToFileURL(resolve(path)).href);
  } catch (error) {
    throw new UsageError(`Cannot load --method ${path}: ${messageOf(error).split("\n", 1)[0]}`);
  }
}

/** The values of a module's flags: those that were set, and its defaults for the others. */
function readFlags(path: string, flags: unknown, set: readonly string[]): Record<string, unknown> {
  if (flags !== undefined && !(flags instanceof z.ZodObject)) {
    throw refusal(
      path,
      `its export flags must be an object of zod, such as z.object({}); it is ${kindOf(flags)}`,
    );
  }
  const schema = flags ?? z.object({}), names = Object.keys(schema.shape);
  const given = Object.fromEntries(set.map((each) => {
    const end = each.indexOf("=");
    return [each.slice(0, end), each.slice(end + 1)];
  }));
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const known = names.length === 0 ? "it has no flags" : `its flags are ${names.join(", ")}`;
    throw new UsageError(`Cannot use --set ${unknown}=${given[unknown]} with --method ${path}: ${known}`);
  }
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const { path: [name], message } = result.error.issues[0], flag = String(name);
  const what = flag in given ? `--set ${flag}=${given[flag]}` : `--method ${path} without --set ${flag}=...`;
  throw new UsageError(`Cannot use ${what}: ${message}`);
}

function checkMethod(path: string, method: unknown): asserts method is Method {
  if (!(method instanceof Module)) {
    throw refusal(path, `its build must return a Module; it returns ${kindOf(method)}`);
  }
  const { encoder, losses } = method as { encoder?: unknown; losses?: unknown };
  if (!(encoder instanceof Layer && "featureWidth" in encoder)) {
    throw refusal(path, `its encoder must be one that context.makeEncoder() makes; it is ${kindOf(encoder)}`);
  }
  if (typeof losses !== "function") {
    throw refusal(path, `its losses must be a function losses(batch, peers); it is ${kindOf(losses)}`);
  }
}

function refusal(path: string, why: string): UsageError {
  return new UsageError(`Cannot use --method ${path}: ${why}`);
}

/** What a value is, in words. */
function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (value instanceof Promise) return "a promise";
  return typeof value === "object" ? "another object" : `a ${typeof value}`;
}
