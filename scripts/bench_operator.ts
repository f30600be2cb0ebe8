/**
 * What calling an operator from TypeScript costs over the operator itself:
 *
 *     deno run -A scripts/bench_operator.ts [--python python3]
 *
 * The operator is add(x, y, alpha) of two small vectors, including freeing the result. The operator itself is the same
 * from C++ (bench_operator.cpp), in the same process and in turns. `--python` names a Python with torch, whose own call
 * is then measured by the same rule, in a process of its own.
 */

import { join } from "node:path";
import { parseArgs } from "node:util";
import { findCompiler } from "../src/setup/compile.ts";
import { run } from "../src/setup/environment.ts";
import { ones } from "../src/torch/create.ts";
import { manifest } from "../src/torch/library.ts";
import { dispose, scope } from "../src/torch/scope.ts";

const ELEMENTS = 8;
/** Calls in one turn: about a millisecond, so that many turns pass between two interruptions. */
const CALLS = 500;
const TURNS = 1000;
const WARM_UP = 100;

const PYTHON = `
import time, torch
x, y = torch.ones(${ELEMENTS}), torch.ones(${ELEMENTS})
for _ in range(${TURNS}):
    start = time.perf_counter()
    for _ in range(${CALLS}):
        torch.add(x, y, alpha=2)
    print((time.perf_counter() - start) * 1e9 / ${CALLS})
`;

/** Compiles bench_operator.cpp against the libtorch in use and returns its function. */
async function operatorItself(folder: string): Promise<() => number> {
  const { command } = await findCompiler(Deno.env);
  const source = new URL("bench_operator.cpp", import.meta.url).pathname;
  const library = join(folder, "bench_operator.so"), { libtorch } = manifest;
  const answer = await run(command[0], [
    ...command.slice(1),
    ...["-std=c++20", "-O2", "-fPIC", "-shared", "-isystem", `${libtorch}/include`, source, "-o", library],
    ...[`-L${libtorch}/lib`, "-Wl,--no-as-needed", "-ltorch_cpu", "-lc10", `-Wl,-rpath,${libtorch}/lib`],
  ]);
  if (answer?.code !== 0) throw new Error(`Cannot compile bench_operator.cpp: ${answer?.err}`);
  const { symbols } = Deno.dlopen(library, { bench_add: { parameters: ["u32", "u32"], result: "f64" } });
  return () => symbols.bench_add(ELEMENTS, CALLS);
}

const x = ones([ELEMENTS]), y = ones([ELEMENTS]);

function eachDisposed(): number {
  const start = performance.now();
  for (let i = 0; i < CALLS; i++) x.add(y, 2)[Symbol.dispose]();
  return (performance.now() - start) * 1e6 / CALLS;
}

function addTen(): void {
  for (let i = 0; i < 10; i++) x.add(y, 2);
}

function inScopes(): number {
  const start = performance.now();
  for (let i = 0; i < CALLS; i += 10) scope(addTen);
  return (performance.now() - start) * 1e6 / CALLS;
}

/** The nanoseconds that `part` of the turns took at most. */
function quantile(turns: readonly number[], part: number): number {
  return turns.toSorted((a, b) => a - b)[Math.floor(part * turns.length)];
}

function print(subject: string, turns: readonly number[], base: readonly number[] = []): void {
  const cell = (part: number) => `${quantile(turns, part).toFixed(0)} ns`.padStart(8);
  const over = base.length === 0 ? "" : `${(quantile(turns, 0.5) - quantile(base, 0.5)).toFixed(0)} ns more`;
  const line = `${subject.padEnd(34)} median ${cell(0.5)}   fastest tenth ${cell(0.1)}   ${over}`;
  Deno.stdout.writeSync(new TextEncoder().encode(`${line.trimEnd()}\n`));
}

const { values } = parseArgs({ args: Deno.args, options: { python: { type: "string" } } });
const folder = await Deno.makeTempDir({ prefix: "stec-bench-" });
try {
  const measures = [await operatorItself(folder), eachDisposed, inScopes];
  const turns: number[][] = measures.map(() => []);
  for (let turn = -WARM_UP; turn < TURNS; turn++) {
    measures.forEach((measure, i) => {
      const taken = measure();
      if (turn >= 0) turns[i].push(taken);
    });
  }
  const [itself, disposed, scoped] = turns;
  print("the operator itself (C++)", itself);
  print("TypeScript, each result disposed", disposed, itself);
  print("TypeScript, in scopes of ten calls", scoped, itself);
  if (values.python !== undefined) {
    const answer = await run(values.python, ["-c", PYTHON]);
    if (answer?.code !== 0) throw new Error(`Cannot run torch in ${values.python}: ${answer?.err}`);
    print("Python", answer.out.trim().split("\n").slice(WARM_UP).map(Number), itself);
  }
} finally {
  dispose([x, y]);
  await Deno.remove(folder, { recursive: true });
}
