/** The executable as `deno task compile --fast` makes it, in a root where there is next to nothing. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { commands, makeExecutable } from "../../src/executable/make.ts";
import { denoCommand } from "../../src/launch/launch.ts";
import { exists, REPOSITORY } from "../../src/setup/environment.ts";
import project from "../../deno.json" with { type: "json" };
import { type MadeFolder, temporaryFolder } from "../made_data.ts";
import { HAS_NAMESPACES, inNamespace } from "./namespace.ts";

/** The most bytes that it may have. It is smaller when there is time to compress it well. */
const LARGEST = 260_000_000;
/** Libraries of glibc and libstdc++, and nothing else but a shell. */
const SYSTEM = [
  ...["ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"],
  ...["libresolv.so.2", "libgcc_s.so.1", "libstdc++.so.6"],
];
const EMPTY = HAS_NAMESPACES ? "" : " (this machine's root, which is not empty: no namespaces here)";
const SHARED = join(REPOSITORY, "..", "shared", "data");
const CHECKPOINT = join(SHARED, "checkpoints", "stec_resnet18_cifar10.ckpt");
const SAMPLE = join(SHARED, "cifar10-sample");

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function answerOf(words: readonly string[], env: Record<string, string> = {}): Promise<Answer> {
  const [command, ...args] = words;
  const { code, stdout, stderr } = await new Deno.Command(command, { args, env, stdin: "null" }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** A root with the executable in it. */
class EmptyRoot implements Disposable {
  readonly #folder: MadeFolder = temporaryFolder();
  readonly path: string = this.#folder.path;
  readonly executable: string = join(this.path, "stec");

  static async make(): Promise<EmptyRoot> {
    const root = new EmptyRoot();
    const size = await makeExecutable(
      { output: root.executable, fast: true, external: false, denoCompile: false },
      { get: (name) => name === "STEC_CUDA" ? "0" : Deno.env.get(name) },
      { say: () => {}, step: () => {} },
    );
    assert.ok(size <= LARGEST, `it has ${size} bytes`);
    for (const name of ["proc", "dev", "home", "lib64", "lib/x86_64-linux-gnu", "bin"]) {
      Deno.mkdirSync(join(root.path, name), { recursive: true });
    }
    const { out } = await answerOf(["/sbin/ldconfig", "-p"]);
    for (const name of SYSTEM) {
      const [, path] = new RegExp(`\\t${name.replaceAll("+", "\\+")} \\(.*x86-64.*\\) => (.*)`).exec(out)!;
      const place = name.startsWith("ld-") ? "lib64" : "lib/x86_64-linux-gnu";
      Deno.copyFileSync(path, join(root.path, place, name));
    }
    Deno.copyFileSync(Deno.realPathSync("/bin/sh"), join(root.path, "bin", "sh"));
    return root;
  }

  /** A path there, as the executable is told it. */
  at(path: string): string {
    return HAS_NAMESPACES ? path : this.path + path;
  }

  /** Runs it there, with no variable but HOME; where there are no namespaces, it sees this machine's files, too. */
  run(args: readonly string[]): Promise<Answer> {
    return answerOf(this.words(args));
  }

  /** The words that run it there, as the process that they start. */
  words(args: readonly string[]): string[] {
    if (!HAS_NAMESPACES) return ["/usr/bin/env", "-i", `HOME=${this.path}/home`, this.executable, ...args];
    const mounts = ["proc", "dev"].map((name) => `mount --rbind /${name} ${join(this.path, name)}`);
    const script = `${
      mounts.join("; ")
    }; exec env -i HOME=/home $(command -v chroot) ${this.path} /stec "$@"`;
    return inNamespace(`PATH=$PATH:/usr/sbin:/sbin; ${script}`, args);
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** Command lines that are answered and run nothing. */
const ANSWERED = [
  ...[
    "",
    "--version",
    "--help",
    "-h",
    "train --help",
    "eval -h",
    "export --help",
    "trian",
    "--nonsense",
    "help",
  ],
  ...["train --lerning_rate 4", "train --batch_size many", "train --learning-rate", "eval", "train stray"],
  ...["probe --dataset cifar", "export --to nowhere", "inspect", "inspect a b", "train --temperature=-1"],
  ...["train --help --lerning_rate 4", "preview --count 0", "train --version", "eval --ckpt_path --gpus 0"],
];

Deno.test("executable: the commands may do what their tasks may", () => {
  const found = commands();
  for (const name of ["train", "eval", "probe", "preview", "export", "inspect"] as const) {
    const flags = found.get(name)!.filter((flag) => flag.startsWith("--allow") || flag === "--no-prompt");
    // The tasks may start any program, as Deno wants where LD_LIBRARY_PATH is set; the executable takes that out.
    const words = ["deno", "run", ...flags, "cli.ts", name].join(" ").replace(
      "--allow-run=@FOLDER@/deno",
      "--allow-run",
    );
    assert.equal(words, project.tasks[name].command);
  }
  assert.ok(found.get("")!.every((flag) => !flag.includes("run")));
});

Deno.test(`executable: in an empty root it trains, and evaluates to the same digits${EMPTY}`, async (t) => {
  using root = await EmptyRoot.make();

  await t.step("without unpacking it answers help and wrong flags as the program does", async () => {
    const cache = join(root.path, "cache");
    const permissions = commands().get("")!.filter((flag) =>
      flag.startsWith("--allow") || flag === "--no-prompt"
    );
    for (const line of ANSWERED) {
      const args = line.split(" ").filter(Boolean);
      const program = [denoCommand(), "run", ...permissions, join(REPOSITORY, "cli.ts")];
      const [expected, found] = await Promise.all([
        answerOf([...program, ...args], { STEC_PROGRAM: "stec" }),
        answerOf([root.executable, ...args], { STEC_CACHE: cache }),
      ]);
      assert.deepEqual(found, expected, line);
      assert.ok(line === "" || expected.out + expected.err !== "", "it says something");
    }
    assert.ok(!exists(cache));
  });

  await t.step("it trains the built-in demonstration", async () => {
    const { code, out, err } = await root.run([
      "train",
      "--max_steps",
      "4",
      "--results_path",
      root.at("/results"),
    ]);
    assert.equal(code, 0, err);
    assert.match(err, /^Unpacking \d+ MB into \S*\/home\/\.cache\/stec\/executable\/\w+, once\n/);
    assert.match(err, /^No --dataset: this is the built-in demonstration/m);
    assert.match(out, /^test accuracy +\d\.\d{4} .*\nlinear probe on the untrained encoder +\d\.\d{4}/);
    assert.ok(exists(join(root.path, "results", "last.ckpt")));
  });

  await t.step("Ctrl-C saves a checkpoint and ends it with status 130", async () => {
    const [command, ...args] = root.words([
      "train",
      "--results_path",
      root.at("/stopped"),
      "--log_every",
      "1",
    ]);
    const child = new Deno.Command(command, { args, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
    let err = "";
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      if (!err.includes("step") && (err + text).includes("step")) child.kill("SIGINT");
      err += text;
    }
    assert.equal((await child.status).code, 130, err);
    assert.ok(exists(join(root.path, "stopped", "last.ckpt")));
  });

  await t.step("two processes of it train together", async () => {
    const flags = `--processes 2 --max_steps 4 --batch_size 20 --results_path ${root.at("/two")}`;
    const { code, err } = await root.run(["train", ...flags.split(" ")]);
    assert.equal(code, 0, err);
    assert.ok(exists(join(root.path, "two", "last.ckpt")));
  });

  await t.step({
    name: `it evaluates the reference's checkpoint${exists(CHECKPOINT) ? "" : " (skipped: no ../shared)"}`,
    ignore: !exists(CHECKPOINT),
    fn: async () => {
      Deno.copyFileSync(CHECKPOINT, join(root.path, "a.ckpt"));
      const data = join(root.path, "data", "cifar-10-batches-bin");
      Deno.mkdirSync(data, { recursive: true });
      for (const { name } of Deno.readDirSync(join(SAMPLE, "cifar-10-batches-bin"))) {
        Deno.copyFileSync(join(SAMPLE, "cifar-10-batches-bin", name), join(data, name));
      }
      const flags = `--dataset cifar10 --data_dir ${root.at("/data")} --arch resnet18 --ckpt_path ${
        root.at("/a.ckpt")
      }`;
      assert.deepEqual(await root.run(["eval", ...flags.split(" ")]), { code: 0, out: "0.5120\n", err: "" });
    },
  });

  await t.step("it writes a page of images, with sharp", async () => {
    const { code, err } = await root.run(["preview", "--count", "2", "-o", root.at("/page.html")]);
    assert.equal(code, 0, err);
    assert.ok(Deno.statSync(join(root.path, "page.html")).size > 1000);
  });

  await t.step("what it holds has its licences, and nothing that no command needs", () => {
    const cache = join(root.path, "home/.cache/stec/executable");
    const [key] = [...Deno.readDirSync(cache)].filter(({ isDirectory }) => isDirectory).map(({ name }) =>
      name
    );
    const files = [...below(join(cache, key))];
    for (const name of ["LICENSE", "deno.txt", "libtorch.txt", "zstd.txt"]) {
      assert.ok(files.some((path) => path.endsWith(`/licences/${name}`)), name);
    }
    assert.deepEqual(
      files.filter((path) =>
        !path.includes("/licences/") && /\.d\.ts$|\.map$|\.h$|musl|darwin|python|fast-check/.test(path)
      ),
      [],
    );
    assert.ok(!files.some((path) => path.endsWith("/src/executable/make.ts")));
  });

  await t.step("what others put into a folder above, as they may in /tmp, is not executed", async () => {
    const files = [...below(join(root.path, "home/.cache/stec/executable"))];
    const packages = new Set(
      files.flatMap((path) => /node_modules\/((@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
    );
    const evil = "require('fs').writeFileSync('/home/evil', ''); Deno.exit(66); throw new Error('evil')";
    for (const folder of ["", "home", "home/.cache/stec/executable"].map((name) => join(root.path, name))) {
      const imports = Object.fromEntries([...packages].map((name) => [name, "./evil.cjs"]));
      const write = (path: string, text: string) => {
        Deno.mkdirSync(dirname(join(folder, path)), { recursive: true });
        Deno.writeTextFileSync(join(folder, path), text);
      };
      write("evil.cjs", evil);
      for (const name of packages) {
        write(
          `node_modules/${name}/package.json`,
          JSON.stringify({ name, version: "99.0.0", main: "evil.cjs" }),
        );
        write(`node_modules/${name}/evil.cjs`, evil);
      }
      const scripts = { preinstall: "exit 66", postinstall: "exit 66" }, exports = { ".": "./evil.cjs" };
      write("package.json", JSON.stringify({ name: "zod", type: "commonjs", imports, exports, scripts }));
      const members = [...Deno.readDirSync(join(root.path, "home/.cache/stec/executable"))]
        .filter(({ isDirectory }) => isDirectory)
        .map(({ name }) => join(root.path, "home/.cache/stec/executable", name).replace(folder, "."));
      write("deno.json", JSON.stringify({ workspace: members, imports, links: ["./node_modules/zod"] }));
      write("tsconfig.json", JSON.stringify({ compilerOptions: { paths: { "*": ["./evil.cjs"] } } }));
    }
    const { code, err } = await root.run(["preview", "--count", "2", "-o", root.at("/page.html")]);
    assert.equal(code, 0, err);
    assert.ok(!exists(join(root.path, "home", "evil")));
  });
});

function* below(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (name === "deno_dir") continue;
    if (isDirectory) yield* below(path);
    else yield path;
  }
}
