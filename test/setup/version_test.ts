import assert from "node:assert/strict";
import { checkVersion, parseVersion } from "../../src/setup/version.ts";
import { environmentOf } from "./fakes.ts";

Deno.test("version: is read from each of the files that carry it", () => {
  assert.equal(
    parseVersion("from typing import Optional\n__version__ = '2.13.0+cpu'\ncuda = None\n"),
    "2.13.0",
  );
  assert.equal(parseVersion('__version__: str = "2.14.1+cu130"\n'), "2.14.1");
  assert.equal(parseVersion("2.11.0+cu126\n"), "2.11.0");
  assert.equal(
    parseVersion('#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION \\\n  "2.12.3"\n'),
    "2.12.3",
  );
  assert.equal(parseVersion("__version__ = '2.14.0a0+git1234'\n"), "2.14.0");
  assert.equal(parseVersion("#pragma once\n"), null);
});

Deno.test("version: 2.11 to 2.14 are accepted, others only on demand", () => {
  const nothing = environmentOf({});
  for (const version of ["2.11.0", "2.13.0", "2.14.9"]) checkVersion(version, "/lib", nothing);
  for (const version of ["2.10.1", "2.15.0", "1.13.0", "3.0.0"]) {
    assert.throws(() => checkVersion(version, "/lib", nothing), {
      message: `Cannot use libtorch ${version} in /lib: 2.11 to 2.14 are supported ` +
        "(LIBTORCH_BYPASS_VERSION_CHECK=1 tries it all the same)",
    });
    checkVersion(version, "/lib", environmentOf({ LIBTORCH_BYPASS_VERSION_CHECK: "1" }));
  }
});
