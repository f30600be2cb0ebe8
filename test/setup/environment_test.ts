import assert from "node:assert/strict";
import { cacheFolder, isOn, run, wantsCuda } from "../../src/setup/environment.ts";
import { environmentOf } from "./fakes.ts";

Deno.test("environment: the cache is where the user says, else where caches are", () => {
  const all = { STEC_CACHE: "/own", XDG_CACHE_HOME: "/xdg", HOME: "/home" };
  assert.equal(cacheFolder(environmentOf(all)), "/own");
  assert.equal(cacheFolder(environmentOf({ ...all, STEC_CACHE: "" })), "/xdg/stec");
  assert.equal(cacheFolder(environmentOf({ HOME: "/home" })), "/home/.cache/stec");
  assert.throws(() => cacheFolder(environmentOf({})), /set STEC_CACHE, XDG_CACHE_HOME or HOME/);
});

Deno.test("environment: switches are on unless empty or 0", () => {
  assert.deepEqual([undefined, "", "0", "1", "true"].map(isOn), [false, false, false, true, true]);
  assert.equal(wantsCuda(environmentOf({ STEC_CUDA: "1" })), true);
  assert.equal(wantsCuda(environmentOf({ STEC_CUDA: "0" })), false);
});

Deno.test("environment: a program that is not there is no error", async () => {
  assert.equal(await run("no-such-program-of-stec", []), null);
  assert.deepEqual(await run("sh", ["-c", "echo out; echo err >&2; exit 3"]), {
    code: 3,
    out: "out\n",
    err: "err\n",
  });
});
