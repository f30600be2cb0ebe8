/**
 * Reads Python's pickles without running them: a stack machine whose steps make plain data (see
 * {@linkcode PickleObject} for the rest). The opcodes of protocols 0 to 5 are understood, but for those that need a running
 * Python: extension codes, textual persistent ids and out-of-band buffers.
 *
 * Safe on hostile input: no recursion, no step that makes more than it reads, and a limit on the memory of what is made.
 *
 * @module
 */

import { Machine, MAX_INTEGER_BYTES, narrowed, type UnpickleOptions } from "./pickle_machine.ts";

/** A pickle's value, and where the pickle ends. */
export interface Unpickled {
  /** The value, see {@linkcode PickleObject}. */
  readonly value: unknown;
  /** The position after the pickle's last byte. */
  readonly end: number;
}

/** Reads the pickle that begins at `start`. Throws one sentence where it is none, or asks for what is not done here. */
export function unpickle(bytes: Uint8Array, options: UnpickleOptions, start = 0): Unpickled {
  const machine = new Machine(bytes, start, options);
  for (;;) {
    const at = machine.position, opcode = machine.byte();
    if (opcode === STOP) return { value: machine.pop(), end: machine.position };
    const step = STEPS[opcode];
    if (step === undefined) throw new TypeError(`The pickle has ${describeOpcode(opcode)} at byte ${at}`);
    step(machine);
  }
}

/** The digits of a textual integer; protocol 0 writes booleans as `00` and `01`. */
function parseInteger(line: string): number | bigint | boolean {
  if (line === "00" || line === "01") return line === "01";
  const digits = line.trim().replace(/L$/, "");
  if (!/^[+-]?\d+$/.test(digits) || digits.length > MAX_INTEGER_BYTES) {
    throw new TypeError("The pickle has an integer that is none");
  }
  return narrowed(BigInt(digits.replace("+", "")));
}

function parseFloat64(line: string): number {
  const text = line.trim().replace(/inf$/, "Infinity");
  const value = Number(text);
  if (text === "" || Number.isNaN(value) && !/^[+-]?nan$/.test(text)) {
    throw new TypeError("The pickle has a number that is none");
  }
  return value;
}

/** A Python 2 string literal as protocol 0 writes it. */
function parseQuoted(line: string): string {
  const quoted = /^(['"])(.*)\1$/s.exec(line.trim());
  if (!quoted) throw new TypeError("The pickle has a string without quotes");
  return quoted[2].replace(/\\(?:x([0-9a-fA-F]{2})|(.))/gs, (_all, hex?: string, other?: string) => {
    if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
    return ({ n: "\n", r: "\r", t: "\t" } as Record<string, string>)[other!] ?? other!;
  });
}

/** Text with everything outside Latin-1 escaped, as protocol 0 writes it. */
function parseEscaped(line: string): string {
  return line.replace(/\\u([0-9a-fA-F]{4})|\\U00([0-9a-fA-F]{6})/g, (all, short?: string, long?: string) => {
    const code = parseInt(short ?? long!, 16);
    return code <= 0x10ffff ? String.fromCodePoint(code) : all;
  });
}

type Step = (machine: Machine) => void;

const STOP = ".".charCodeAt(0);

/** What every opcode does, under its letter or number in CPython's Lib/pickle.py. */
const STEPS: readonly (Step | undefined)[] = (() => {
  const steps: (Step | undefined)[] = new Array(256);
  const on = (opcode: string | number, step: Step) => {
    steps[typeof opcode === "string" ? opcode.charCodeAt(0) : opcode] = step;
  };
  // PROTO, FRAME: say nothing that is needed.
  on(0x80, (m) => m.advance(1));
  on(0x95, (m) => m.advance(8));
  // MARK, POP, POP_MARK, DUP
  on("(", (m) => m.mark());
  on("0", (m) => m.discard());
  on("1", (m) => void m.popMark());
  on("2", (m) => m.push(m.top()));
  // NONE, NEWTRUE, NEWFALSE
  on("N", (m) => m.push(null));
  on(0x88, (m) => m.push(true));
  on(0x89, (m) => m.push(false));
  // INT, BININT, BININT1, BININT2, LONG, LONG1, LONG4, FLOAT, BINFLOAT
  on("I", (m) => m.push(parseInteger(m.line())));
  on("J", (m) => m.push(m.int32()));
  on("K", (m) => m.push(m.byte()));
  on("M", (m) => m.push(m.uint16()));
  on("L", (m) => m.push(parseInteger(m.line())));
  on(0x8a, (m) => m.push(m.integer(m.byte())));
  on(0x8b, (m) => m.push(m.integer(m.uint32())));
  on("F", (m) => m.push(parseFloat64(m.line())));
  on("G", (m) => m.push(m.float64()));
  // STRING, BINSTRING, SHORT_BINSTRING, UNICODE, BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
  on("S", (m) => m.push(parseQuoted(m.line())));
  on("T", (m) => m.push(m.text(m.uint32())));
  on("U", (m) => m.push(m.text(m.byte())));
  on("V", (m) => m.push(parseEscaped(m.line())));
  on("X", (m) => m.push(m.text(m.uint32())));
  on(0x8c, (m) => m.push(m.text(m.byte())));
  on(0x8d, (m) => m.push(m.text(m.uint64())));
  // BINBYTES, SHORT_BINBYTES, BINBYTES8, BYTEARRAY8
  on("B", (m) => m.push(m.bytes(m.uint32())));
  on("C", (m) => m.push(m.bytes(m.byte())));
  on(0x8e, (m) => m.push(m.bytes(m.uint64())));
  on(0x96, (m) => m.push(m.bytes(m.uint64())));
  // EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
  on(")", (m) => m.pushTuple([]));
  on("t", (m) => m.pushTuple(m.popMark()));
  on(0x85, (m) => m.pushTuple(m.popSome(1)));
  on(0x86, (m) => m.pushTuple(m.popSome(2)));
  on(0x87, (m) => m.pushTuple(m.popSome(3)));
  // EMPTY_LIST, LIST, APPEND, APPENDS
  on("]", (m) => m.pushList([]));
  on("l", (m) => m.pushList(m.popMark()));
  on("a", (m) => m.appendAll(m.popSome(1)));
  on("e", (m) => m.appendAll(m.popMark()));
  // EMPTY_DICT, DICT, SETITEM, SETITEMS
  on("}", (m) => m.pushMap([]));
  on("d", (m) => m.pushMap(m.popMark()));
  on("s", (m) => m.setAll(m.popSome(2)));
  on("u", (m) => m.setAll(m.popMark()));
  // EMPTY_SET, ADDITEMS, FROZENSET
  on(0x8f, (m) => m.pushSet([]));
  on(0x90, (m) => m.addAll(m.popMark()));
  on(0x91, (m) => m.pushSet(m.popMark()));
  // GET, BINGET, LONG_BINGET, PUT, BINPUT, LONG_BINPUT, MEMOIZE
  on("g", (m) => m.recall(Number(m.line())));
  on("h", (m) => m.recall(m.byte()));
  on("j", (m) => m.recall(m.uint32()));
  on("p", (m) => m.remember(Number(m.line())));
  on("q", (m) => m.remember(m.byte()));
  on("r", (m) => m.remember(m.uint32()));
  on(0x94, (m) => m.memoize());
  // GLOBAL, STACK_GLOBAL, BINPERSID
  on("c", (m) => m.pushGlobal(m.line(), m.line()));
  on(0x93, (m) => m.pushGlobal(...m.popSome(2) as [unknown, unknown]));
  on("Q", (m) => m.pushPersistent());
  // REDUCE, NEWOBJ, NEWOBJ_EX, INST, OBJ, BUILD
  on("R", (m) => m.pushCall(...m.popSome(2) as [unknown, unknown]));
  on(0x81, (m) => m.pushCall(...m.popSome(2) as [unknown, unknown]));
  on(0x92, (m) => {
    const [callee, args, named] = m.popSome(3);
    m.pushCall(callee, Array.isArray(args) ? [...args, named] : args);
  });
  on("i", (m) => {
    m.pushGlobal(m.line(), m.line());
    const callee = m.pop();
    m.pushCall(callee, m.popMark());
  });
  on("o", (m) => {
    const args = m.popMark();
    m.pushCall(args.shift() ?? null, args);
  });
  on("b", (m) => m.build());
  return steps;
})();

/** Opcodes that are not understood, by name. */
const REFUSED: ReadonlyMap<number, string> = new Map([
  [0x82, "EXT1"],
  [0x83, "EXT2"],
  [0x84, "EXT4"],
  ["P".charCodeAt(0), "PERSID"],
  [0x97, "NEXT_BUFFER"],
  [0x98, "READONLY_BUFFER"],
]);

function describeOpcode(opcode: number): string {
  const name = REFUSED.get(opcode);
  return name === undefined
    ? `no instruction but the byte 0x${opcode.toString(16).padStart(2, "0")}`
    : `the instruction ${name}, which is not supported,`;
}
