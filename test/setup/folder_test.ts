import assert from "node:assert/strict";
import { join } from "node:path";
import { namesIn } from "../../src/setup/environment.ts";
import { isWhole, makeFolder } from "../../src/setup/folder.ts";
import { withFolder, writeFiles } from "./fakes.ts";

const fill = (temporary: string) => Deno.writeTextFile(join(temporary, "content"), "whole");

Deno.test("folder: is made once, also for two at a time", () =>
  withFolder(async (parent) => {
    const path = join(parent, "made");
    let fills = 0;
    let waits = 0;
    const slowly = async (temporary: string) => {
      fills++;
      assert.equal(isWhole(path), false);
      await fill(temporary);
    };
    await Promise.all([1, 2].map(() => makeFolder(path, slowly, () => waits++)));
    assert.deepEqual([fills, waits], [1, 1]);
    assert.equal(await Deno.readTextFile(join(path, "content")), "whole");
    await makeFolder(path, () => assert.fail("it is there already"));
  }));

Deno.test("folder: what fails leaves nothing and can be tried again", () =>
  withFolder(async (parent) => {
    const path = join(parent, "made");
    const half = async (temporary: string) => {
      await fill(temporary);
      throw new Error("cut off");
    };
    await assert.rejects(() => makeFolder(path, half), /cut off/);
    assert.deepEqual(namesIn(parent), [".made.lock"]);
    await makeFolder(path, fill);
    assert.equal(isWhole(path), true);
  }));

Deno.test("folder: what a dead set-up has left is removed", () =>
  withFolder(async (parent) => {
    const path = join(parent, "made");
    writeFiles(parent, { ".made.tmp123/half": "", "made/half": "", ".other.tmp1/half": "" });
    assert.equal(isWhole(path), false);
    await makeFolder(path, fill);
    assert.deepEqual(namesIn(parent), [".made.lock", ".other.tmp1", "made"]);
    assert.deepEqual(namesIn(path), [".complete", "content"]);
  }));
