/**
 * From arguments to one command with its settings, or to the text that was asked for. Nothing is run here.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import { Command, CommanderError, Option } from "@commander-js/extra-typings";
import project from "../../deno.json" with { type: "json" };
import { formatValue } from "../flag.ts";
import { UsageError } from "../base/errors.ts";
import { COMMAND_NAMES, type CommandName, type Flag, flagSections } from "./flags.ts";
import { COMMANDS } from "./help.ts";
import {
  type GivenFlags,
  notesOn,
  resolveEval,
  resolveExport,
  resolveInspect,
  resolvePreview,
  resolveProbe,
  resolveTrain,
} from "./resolve.ts";
import type {
  EvalSettings,
  ExportSettings,
  InspectSettings,
  ModelSettings,
  PreviewSettings,
  ProbeSettings,
  TrainSettings,
} from "./settings.ts";

/** A command with its settings. */
export interface Ordered<C extends CommandName, S> {
  /** The command's name. */
  readonly command: C;
  /** What follows from its flags. */
  readonly settings: S;
  /** What the user should know. */
  readonly notes: readonly string[];
}

/** A command that goes on from a checkpoint, and so has its networks. */
export interface FromCheckpoint<C extends CommandName, S> extends Ordered<C, S> {
  /** The flags as they were given. */
  readonly given: GivenFlags;
}

/** What a command line asks for: a command, or a text. */
export type Invocation =
  | FromCheckpoint<"train", TrainSettings>
  | FromCheckpoint<"eval", EvalSettings>
  | Ordered<"probe", ProbeSettings>
  | Ordered<"preview", PreviewSettings>
  | Ordered<"export", ExportSettings>
  | Ordered<"inspect", InspectSettings>
  | { readonly command: "print"; readonly text: string };

/** Flags that one letter stands for as well. */
const SHORT: { readonly [name: string]: string } = { output: "-o" };

/** What commander throws once it has written what was asked for. */
const PRINTS = ["commander.help", "commander.helpDisplayed", "commander.version"];

/**
 * Understands a command line.
 *
 * @param columns width of the help
 * @throws {UsageError} if it cannot be understood, in one sentence
 */
export function parseCommandLine(args: readonly string[], columns = 100): Invocation {
  const words = normalize(args);
  let text = "";
  let invocation: Invocation | undefined;
  const program = buildProgram(columns, (part) => text += part);
  for (const name of COMMAND_NAMES) {
    const command = buildCommand(name, program);
    command.action((given) => {
      refuseStrays(words, given, name === "inspect" ? [] : command.args);
      invocation = resolve(name, given, command.args);
    });
  }
  try {
    if (words.length === 0) program.help();
    program.parse(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (!PRINTS.includes(error.code)) throw new UsageError(explain(error));
  }
  return invocation ?? { command: "print", text };
}

/** Flags may be written with dashes. */
function normalize(args: readonly string[]): string[] {
  return args.map((arg) => arg.replace(/^--[^=]+/, (flag) => "--" + flag.slice(2).replaceAll("-", "_")));
}

function buildProgram(columns: number, write: (text: string) => void): Command {
  const program = new Command("deno task").exitOverride().helpCommand(false).usage("<command> [flags]")
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .configureOutput({
      writeOut: write,
      writeErr: () => {},
      getOutHelpWidth: () => columns,
      getOutHasColors: () => false,
    })
    .description(`S-TEC ${project.version}: self-supervised learning through efference copies`)
    .addHelpText("after", "\n`deno task <command> --help` shows the flags of a command.");
  return withStandardFlags(program);
}

function buildCommand(name: CommandName, program: Command): Command {
  const { summary, description, more, usage = "[flags]" } = COMMANDS[name];
  const command = withStandardFlags(program.command(name)).summary(summary).description(description)
    .usage(usage).allowExcessArguments().addHelpText("after", more);
  for (const { title, flags, effective } of flagSections(name)) {
    for (const flag of flags) {
      const names = flag.name in SHORT ? `${SHORT[flag.name]}, --${flag.name}` : `--${flag.name}`;
      const option = new Option(`${names} ${flag.placeholder}`.trimEnd(), explainFlag(flag));
      if (flag.repeats) option.argParser((value: string, before: unknown) => [...asList(before), value]);
      // Others accept much of what `train` does; their help shows what matters to them.
      command.addOption(option.helpGroup(`${title}:`).hideHelp(!effective && name !== "train"));
    }
  }
  return command;
}

function asList(value: unknown): string[] {
  return Array.isArray(value) ? value : [];
}

function withStandardFlags(command: Command): Command {
  return command.helpOption("-h, --help", "Show this help")
    .version(`stec ${project.version}`, "--version", "Show the version");
}

function explainFlag({ description, fallback }: Flag): string {
  return ["", "none", "off"].includes(fallback) ? description : `${description} (default: ${fallback})`;
}

function resolve(command: CommandName, given: GivenFlags, words: readonly string[]): Invocation {
  const notes = () => notesOn(command, given);
  switch (command) {
    case "train":
      return { command, settings: resolveTrain(given), notes: notes(), given };
    case "eval":
      return { command, settings: resolveEval(given), notes: notes(), given };
    case "probe":
      return { command, settings: resolveProbe(given), notes: notes() };
    case "preview":
      return { command, settings: resolvePreview(given), notes: notes() };
    case "export":
      return { command, settings: resolveExport(given), notes: notes() };
    case "inspect":
      return { command, settings: resolveInspect(words), notes: notes() };
  }
}

/**
 * The same command with the networks of a checkpoint.
 *
 * @param stored the settings of the networks, as far as the checkpoint tells them
 * @throws {UsageError} if a flag that was given contradicts the checkpoint
 */
export function withModel<I extends FromCheckpoint<CommandName, TrainSettings | EvalSettings>>(
  { command, settings, given }: I,
  stored: Partial<ModelSettings>,
  path: string,
): I {
  for (const [name, value] of Object.entries(stored) as [keyof ModelSettings, unknown][]) {
    if (given[name] === undefined || isDeepStrictEqual(settings[name], value)) continue;
    const [asked, found] = [settings[name], value].map(formatValue);
    throw new UsageError(
      `Cannot use --${name} ${asked}: ${path} has ${found}, which it takes without the flag`,
    );
  }
  return resolve(command, { ...given, ...stored }, []) as Invocation & I;
}

/** Refuses a flag that was taken for the value of the one before it, and words that belong to no flag. */
function refuseStrays(words: readonly string[], given: GivenFlags, strays: readonly string[]): void {
  for (const [name, value] of Object.entries(given)) {
    const isBefore = (flag: string) => words.includes(flag) && words[words.indexOf(flag) + 1] === value;
    if (String(value).startsWith("--") && (isBefore(`--${name}`) || isBefore(SHORT[name]))) {
      throw new UsageError(`--${name} needs a value`);
    }
  }
  if (strays.length > 0) {
    throw new UsageError(`Cannot understand ${strays[0]}: no flag before it takes a value`);
  }
}

/** What commander found wrong, as one sentence. */
function explain({ code, message }: CommanderError): string {
  const [, subject] = /'(.+?)'/.exec(message) ?? [];
  const [, similar] = /Did you mean (.+)\?/.exec(message) ?? [];
  const hint = similar === undefined ? "--help lists them" : `did you mean ${similar}?`;
  switch (code) {
    case "commander.unknownOption":
      return `Unknown flag ${subject}: ${hint}`;
    case "commander.unknownCommand":
      return `Unknown command ${subject}: ${hint}`;
    case "commander.optionMissingArgument":
      return `${subject.split(" <")[0]} needs a value`;
    default:
      return message.replace(/^error: /, "");
  }
}
