/**
 * From arguments to one command with its settings, or to the text that was asked for. Nothing is run here.
 *
 * @module
 */

import { Command, CommanderError, Option } from "@commander-js/extra-typings";
import project from "../../deno.json" with { type: "json" };
import { UsageError } from "../errors.ts";
import { type CommandName, type Flag, flagSections } from "./flags.ts";
import { COMMANDS } from "./help.ts";
import { type GivenFlags, notesOn, resolveEval, resolveTrain } from "./resolve.ts";
import type { EvalSettings, TrainSettings } from "./settings.ts";

/** What a command line asks for; `notes` are sentences that the user should see. */
export type Invocation =
  | { readonly command: "train"; readonly settings: TrainSettings; readonly notes: readonly string[] }
  | { readonly command: "eval"; readonly settings: EvalSettings; readonly notes: readonly string[] }
  | { readonly command: "print"; readonly text: string };

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
  for (const name of ["train", "eval"] as const) {
    const command = buildCommand(name, program);
    command.action((given) => {
      refuseStrays(words, given, command.args);
      invocation = resolve(name, given);
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
  const { summary, description, more } = COMMANDS[name];
  const command = withStandardFlags(program.command(name)).summary(summary).description(description)
    .usage("[flags]").allowExcessArguments().addHelpText("after", more);
  for (const { title, flags, effective } of flagSections(name)) {
    for (const flag of flags) {
      const option = new Option(`--${flag.name} ${flag.placeholder}`.trimEnd(), explainFlag(flag));
      // `eval` accepts much of what `train` does; its help shows what matters to it.
      command.addOption(option.helpGroup(`${title}:`).hideHelp(!effective && name !== "train"));
    }
  }
  return command;
}

function withStandardFlags(command: Command): Command {
  return command.helpOption("-h, --help", "Show this help")
    .version(`stec ${project.version}`, "--version", "Show the version");
}

function explainFlag({ description, fallback }: Flag): string {
  return ["", "none", "off"].includes(fallback) ? description : `${description} (default: ${fallback})`;
}

function resolve(command: CommandName, given: GivenFlags): Invocation {
  return command === "train"
    ? { command, settings: resolveTrain(given), notes: notesOn(command, given) }
    : { command, settings: resolveEval(given), notes: notesOn(command, given) };
}

/** Refuses a flag that was taken for the value of the one before it, and words that belong to no flag. */
function refuseStrays(words: readonly string[], given: GivenFlags, strays: readonly string[]): void {
  for (const [name, value] of Object.entries(given)) {
    if (String(value).startsWith("--") && words[words.indexOf(`--${name}`) + 1] === value) {
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
      return `${subject.split(" ")[0]} needs a value`;
    default:
      return message.replace(/^error: /, "");
  }
}
