/**
 * Decodes copies of an image with eight workers, and prints the largest memory of the process before and after, in bytes:
 *
 *     deno run --allow-all test/data/bombs.ts FILE COPIES
 *
 * @module
 */

import { DecodePool } from "../../src/data/decode_pool.ts";
import { madeUpRequest } from "./requests.ts";

const [path, copies] = Deno.args;

/** The most memory that the process has had. */
function peak(): number {
  return 1024 * Number(/VmHWM:\s*(\d+)/.exec(Deno.readTextFileSync("/proc/self/status"))![1]);
}

await using pool = new DecodePool(8);
const request = madeUpRequest(Array(Number(copies)).fill(path));
await pool.run({ ...request, paths: Array(8).fill(import.meta.filename!) });
const before = peak(), { failures } = await pool.run(request);
const answer = JSON.stringify({ before, after: peak(), failures });
Deno.stdout.writeSync(new TextEncoder().encode(answer));
