/**
 * A small executable: the real start-up around scripts that only tell how they were called.
 *
 * @module
 */

import { join } from "node:path";
import { pack } from "../../src/executable/pack.ts";
import { compileStart } from "../../src/executable/start.ts";
import { temporaryFolder } from "../made_data.ts";

/** In the place of Deno: runs what it gets on its standard input, as `deno run -` does, or tells its arguments. */
const DENO = `#!/bin/sh
case "$DENO_DIR" in /proc/*) exec /bin/sh -s -- "$@" ;; esac
for word in "$@"; do echo "$word"; done
echo "DENO_DIR=$DENO_DIR"
echo "STEC_NATIVE=$STEC_NATIVE"
echo "LD_LIBRARY_PATH=\${LD_LIBRARY_PATH-unset}"
cat "$(dirname "$0")/src/data.txt"
case "$*" in *seven*) exit 7 ;; esac
`;

/** In the place of the parser. */
const PARSER = `case "$*" in
*wrong*) echo "Unknown flag" >&2; exit 2 ;;
*help*) echo "Usage"; exit 0 ;;
*) exit 75 ;;
esac
`;

/** How to start it. */
export interface StartOptions {
  readonly env?: Record<string, string>;
  /** What the command line comes after. */
  readonly before?: (words: string[]) => string[];
}

/** What it answered. */
export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A small executable in a temporary folder, with a cache of its own. */
export class SmallExecutable implements Disposable {
  readonly #folder = temporaryFolder();
  readonly folder: string = Deno.realPathSync(this.#folder.path);
  readonly path: string = join(this.folder, "stec");
  /** What STEC_CACHE names. */
  readonly cache: string = join(this.folder, "cache");
  /** Where it unpacks to, below the cache. */
  readonly place: string = join(this.cache, "executable");

  /** Makes one that unpacks, beside its scripts, so many bytes. */
  static async make(bytes = 0): Promise<SmallExecutable> {
    const made = new SmallExecutable(), encode = (text: string) => new TextEncoder().encode(text);
    pack(made.path, {
      start: Deno.readFileSync(await compileStart(Deno.env)),
      parser: encode(PARSER),
      commands: new Map([
        ["train", ["--a=@FOLDER@/x,@FOLDER@/y"]],
        ["", ["--little"]],
      ]),
      files: [
        { path: "deno", source: encode(DENO), executable: true },
        { path: "cli.ts", source: encode("// the program") },
        { path: "src/data.txt", source: encode("data\n") },
        { path: "src/large", source: new Uint8Array(bytes) },
      ],
      external: false,
    }, { level: 1 });
    return made;
  }

  /** The folder that it has unpacked into. */
  get unpacked(): string {
    const [name] = this.names().filter((name) => !name.includes("."));
    return join(this.place, name);
  }

  /** What is in the place where it unpacks. */
  names(): string[] {
    return [...Deno.readDirSync(this.place)].map(({ name }) => name).sort();
  }

  command(args: readonly string[], { env, before = (words) => words }: StartOptions = {}): Deno.Command {
    const [command, ...words] = before([this.path, ...args]);
    return new Deno.Command(command, {
      args: words,
      env: { STEC_CACHE: this.cache, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }

  async run(args: readonly string[], options?: StartOptions): Promise<Answer> {
    const { code, stdout, stderr } = await this.command(args, options).output();
    return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}
