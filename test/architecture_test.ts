/** The structure of the source: which file imports which, read from `deno info`. */

import assert from "node:assert/strict";
import { denoCommand } from "../src/launch/launch.ts";
import { REPOSITORY } from "../src/setup/environment.ts";

interface Dependency {
  readonly code?: { readonly specifier?: string };
}

/** The files that each file imports at run time. */
function importsBelow(entries: readonly string[]): Map<string, Set<string>> {
  const root = `file://${REPOSITORY}/`, imports = new Map<string, Set<string>>();
  for (const entry of entries) {
    const { stdout } = new Deno.Command(denoCommand(), {
      args: ["info", "--json", entry],
      cwd: REPOSITORY,
      stderr: "null",
    }).outputSync();
    const { modules } = JSON.parse(new TextDecoder().decode(stdout));
    for (const { specifier, dependencies = [] } of modules) {
      if (!specifier.startsWith(`${root}src/`)) continue;
      const own = (dependencies as Dependency[]).map(({ code }) => code?.specifier ?? "")
        .filter((each) => each.startsWith(`${root}src/`)).map((each) => each.slice(root.length));
      imports.set(specifier.slice(root.length), new Set(own));
    }
  }
  return imports;
}

/** The groups of nodes that reach each other, larger than one (Tarjan, 1972). */
function circles(arrows: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const index = new Map<string, number>(),
    low = new Map<string, number>(),
    stack: string[] = [],
    found: string[][] = [];
  const visit = (node: string) => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    for (const next of arrows.get(node) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== index.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1) found.push(group.sort());
  };
  for (const node of arrows.keys()) if (!index.has(node)) visit(node);
  return found;
}

const imports = importsBelow(["cli.ts", "mod.ts", "scripts/setup.ts", "scripts/compile.ts"]);

Deno.test("architecture: no circle of imports between files at run time, but tensor and operator", () => {
  assert(imports.size > 120, "the files were read");
  const core = ["src/torch/operator.ts", "src/torch/scope.ts", "src/torch/tensor.ts"];
  assert.deepEqual(circles(imports).filter((group) => group.some((file) => !core.includes(file))), []);
});

Deno.test("architecture: a circle would be found", () => {
  const arrows = new Map([["a", new Set(["b"])], ["b", new Set(["c"])], ["c", new Set(["a"])], [
    "d",
    new Set(["a"]),
  ]]);
  assert.deepEqual(circles(arrows), [["a", "b", "c"]]);
});
