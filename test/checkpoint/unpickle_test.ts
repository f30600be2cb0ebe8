import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { TruncatedPickleError } from "../../src/checkpoint/pickle_machine.ts";
import { PickleGlobal, PickleObject } from "../../src/checkpoint/pickle_values.ts";
import { unpickle } from "../../src/checkpoint/unpickle.ts";
import { throwsSentence } from "./files.ts";

const LIMIT = { memoryLimit: 1 << 20 };

/** Bytes written as text, one character for each. */
const bytes = (pickle: string): Uint8Array => Buffer.from(pickle, "latin1");
const value = (pickle: string) => unpickle(bytes(pickle), LIMIT).value;

/** `EVERYTHING` by the protocols 0 to 5 of Python 3.11, in base64. */
const PICKLES: readonly string[] = [
  "KGxwMApOYUkwMQphSTAwCmFJMAphSS0xCmFJMjU1CmFJNjU1MzYKYUwxMDk5NTExNjI3Nzc2TAphTC0xMTgwNTkxNjIwNzE3NDExMzAzNDI0" +
  "TAphRjAuNQphRmluZgphVmdy9t9lIFx1NjVlNVx1NjcyYwpwMQphY19jb2RlY3MKZW5jb2RlCnAyCihWXHUwMDAw/wpwMwpWbGF0aW4xCnA0" +
  "CnRwNQpScDYKYSh0YShJMQp0cDcKYShJMQpJMgpJMwp0cDgKYShJMQpJMgpJMwpJNAp0cDkKYShscDEwCmEobHAxMQpJNQphYShkcDEyCmEo" +
  "ZHAxMwpWYQpwMTQKSTEKc0kyClZiCnAxNQpzYWNfX2J1aWx0aW5fXwpzZXQKcDE2CigobHAxNwpJNwphdHAxOApScDE5CmFjX19idWlsdGlu" +
  "X18KZnJvemVuc2V0CnAyMAooKGxwMjEKSTgKYXRwMjIKUnAyMwphZzEKYWNfX2J1aWx0aW5fXwpieXRlYXJyYXkKcDI0CihnMgooVmFiCnAy" +
  "NQpnNAp0cDI2ClJwMjcKdHAyOApScDI5CmEu",
  "XXEAKE5JMDEKSTAwCksASv////9L/0oAAAEATDEwOTk1MTE2Mjc3NzZMCkwtMTE4MDU5MTYyMDcxNzQxMTMwMzQyNEwKRz/gAAAAAAAAR3/w" +
  "AAAAAAAAWA4AAABncsO2w59lIOaXpeacrHEBY19jb2RlY3MKZW5jb2RlCnECKFgDAAAAAMO/cQNYBgAAAGxhdGluMXEEdHEFUnEGKShLAXRx" +
  "ByhLAUsCSwN0cQgoSwFLAksDSwR0cQldcQpdcQtLBWF9cQx9cQ0oWAEAAABhcQ5LAUsCWAEAAABicQ91Y19fYnVpbHRpbl9fCnNldApxEChd" +
  "cRFLB2F0cRJScRNjX19idWlsdGluX18KZnJvemVuc2V0CnEUKF1xFUsIYXRxFlJxF2gBY19fYnVpbHRpbl9fCmJ5dGVhcnJheQpxGChoAihY" +
  "AgAAAGFicRloBHRxGlJxG3RxHFJxHWUu",
  "gAJdcQAoToiJSwBK/////0v/SgAAAQCKBgAAAAAAAYoJAAAAAAAAAADARz/gAAAAAAAAR3/wAAAAAAAAWA4AAABncsO2w59lIOaXpeacrHEB" +
  "Y19jb2RlY3MKZW5jb2RlCnECWAMAAAAAw79xA1gGAAAAbGF0aW4xcQSGcQVScQYpSwGFcQdLAUsCSwOHcQgoSwFLAksDSwR0cQldcQpdcQtL" +
  "BWF9cQx9cQ0oWAEAAABhcQ5LAUsCWAEAAABicQ91Y19fYnVpbHRpbl9fCnNldApxEF1xEUsHYYVxElJxE2NfX2J1aWx0aW5fXwpmcm96ZW5z" +
  "ZXQKcRRdcRVLCGGFcRZScRdoAWNfX2J1aWx0aW5fXwpieXRlYXJyYXkKcRhoAlgCAAAAYWJxGWgEhnEaUnEbhXEcUnEdZS4=",
  "gANdcQAoToiJSwBK/////0v/SgAAAQCKBgAAAAAAAYoJAAAAAAAAAADARz/gAAAAAAAAR3/wAAAAAAAAWA4AAABncsO2w59lIOaXpeacrHEB" +
  "QwIA/3ECKUsBhXEDSwFLAksDh3EEKEsBSwJLA0sEdHEFXXEGXXEHSwVhfXEIfXEJKFgBAAAAYXEKSwFLAlgBAAAAYnELdWNidWlsdGlucwpz" +
  "ZXQKcQxdcQ1LB2GFcQ5ScQ9jYnVpbHRpbnMKZnJvemVuc2V0CnEQXXERSwhhhXESUnETaAFjYnVpbHRpbnMKYnl0ZWFycmF5CnEUQwJhYnEV" +
  "hXEWUnEXZS4=",
  "gASVsQAAAAAAAABdlChOiIlLAEr/////S/9KAAABAIoGAAAAAAABigkAAAAAAAAAAMBHP+AAAAAAAABHf/AAAAAAAACMDmdyw7bDn2Ug5pel" +
  "5pyslEMCAP+UKUsBhZRLAUsCSwOHlChLAUsCSwNLBHSUXZRdlEsFYX2UfZQojAFhlEsBSwKMAWKUdY+UKEsHkChLCJGUaAGMCGJ1aWx0aW5z" +
  "lIwJYnl0ZWFycmF5lJOUQwJhYpSFlFKUZS4=",
  "gAWVmwAAAAAAAABdlChOiIlLAEr/////S/9KAAABAIoGAAAAAAABigkAAAAAAAAAAMBHP+AAAAAAAABHf/AAAAAAAACMDmdyw7bDn2Ug5pel" +
  "5pyslEMCAP+UKUsBhZRLAUsCSwOHlChLAUsCSwNLBHSUXZRdlEsFYX2UfZQojAFhlEsBSwKMAWKUdY+UKEsHkChLCJGUaAGWAgAAAAAAAABh" +
  "YpRlLg==",
];
const EVERYTHING: readonly unknown[] = [
  ...[null, true, false, 0, -1, 255, 65536, 2 ** 40, -(2n ** 70n), 0.5, Infinity, "größe 日本"],
  ...[Uint8Array.of(0, 255), [], [1], [1, 2, 3], [1, 2, 3, 4], [], [5]],
  ...[new Map(), new Map<unknown, unknown>([["a", 1], [2, "b"]]), new Set([7]), new Set([8]), "größe 日本"],
  Uint8Array.of(97, 98),
];

Deno.test("unpickle: plain data of every protocol, as Python writes it", () => {
  for (const pickle of PICKLES) {
    assert.deepEqual(unpickle(Uint8Array.fromBase64(pickle), LIMIT).value, EVERYTHING);
  }
});

Deno.test("unpickle: tuples are frozen, lists are not", () => {
  assert.ok(Object.isFrozen(value("K\x01\x85.")));
  assert.ok(Object.isFrozen(value("K\x01K\x02\x86.")));
  assert.ok(Object.isFrozen(value(").")));
  assert.ok(!Object.isFrozen(value("].")));
});

Deno.test("unpickle: what occurs twice is the same object, and may contain itself", () => {
  const twice = value("]q\x00h\x00\x86.") as [unknown, unknown];
  assert.equal(twice[0], twice[1]);
  const self = value("]q\x00h\x00a.") as unknown[];
  assert.equal(self[0], self);
});

Deno.test("unpickle: unknown classes become inert records of how they would be made", () => {
  const object = value("cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrK\x05sb.");
  assert.ok(object instanceof PickleObject);
  assert.deepEqual([object.module, object.name, object.args], ["argparse", "Namespace", []]);
  assert.deepEqual(object.state, new Map([["lr", 5]]));
  const list = value("cmine\nList\nK\x01\x85R(K\x02K\x03eK\x04K\x05s.") as PickleObject;
  assert.deepEqual([list.args, list.items, list.entries], [[1], [2, 3], new Map([[4, 5]])]);
  const named = value("cmine\nMade\nK\x01\x85}\x92.") as PickleObject;
  assert.deepEqual(named.args, [1, new Map()]);
  const old = value("ccopy_reg\n_reconstructor\ncmine\nOld\nc__builtin__\nobject\nN\x87R.") as PickleObject;
  assert.deepEqual([old.module, old.name], ["mine", "Old"]);
  const instance = value("(K\x01imine\nInst\n.") as PickleObject;
  assert.deepEqual([instance.name, instance.args], ["Inst", [1]]);
  const object1 = value("(cmine\nObj\nK\x01o.") as PickleObject;
  assert.deepEqual([object1.name, object1.args], ["Obj", [1]]);
  const called = value("cfunctools\npartial\n)R)R.") as PickleObject;
  assert.equal(called.name, "partial()");
  assert.ok(value("\x8c\x05torch\x8c\x07float16\x93.") instanceof PickleGlobal);
});

Deno.test("unpickle: Python's own collections become plain ones", () => {
  const ordered = "ccollections\nOrderedDict\n)RK\x01K\x02s";
  assert.deepEqual(value(`${ordered}.`), new Map([[1, 2]]));
  assert.deepEqual(value(`${ordered}}X\x09\x00\x00\x00_metadataNsb.`), new Map([[1, 2]]));
  assert.deepEqual(value("ccollections\nOrderedDict\n]](K\x01K\x02ea\x85R."), new Map([[1, 2]]));
  assert.deepEqual(value("ccollections\ndefaultdict\nc__builtin__\nlist\n\x85RK\x01]s."), new Map([[1, []]]));
  assert.deepEqual(value("ccollections\nCounter\n}K\x01K\x02s\x85R."), new Map([[1, 2]]));
  assert.deepEqual(value("ctorch\nSize\n(K\x02K\x03t\x85R."), [2, 3]);
});

Deno.test("unpickle: a pickle that calls the system is refused by name, whatever its form", () => {
  const attacks: [pickle: string, name: string][] = [
    ["cos\nsystem\n(S'echo hi'\ntR.", "os.system"],
    ["(S'echo hi'\nios\nsystem\n.", "os.system"],
    ["(cposix\nsystem\nX\x02\x00\x00\x00hio.", "posix.system"],
    ["\x80\x04\x8c\x02nt\x8c\x06system\x93\x8c\x02hi\x85R.", "nt.system"],
    ["c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "builtins.eval"],
    ["cbuiltins\nexec\nX\x01\x00\x00\x001\x85R.", "builtins.exec"],
    ["csubprocess\nPopen\n)\x81.", "subprocess.Popen"],
    ["}X\x05\x00\x00\x00statecos\nsystem\nX\x02\x00\x00\x00hi\x85Rs.", "os.system"],
  ];
  for (const [pickle, name] of attacks) {
    throwsSentence(() => value(pickle), new RegExp(`calls ${name.replace(".", "\\.")}, .* nothing was run`));
  }
});

Deno.test("unpickle: instructions that need a running Python are refused by name", () => {
  const refused = [["\x82\x01", "EXT1"], ["\x83\x01\x00", "EXT2"], ["\x84\x01\x00\x00\x00", "EXT4"]];
  for (
    const [pickle, name] of [...refused, ["Pid\n", "PERSID"], ["\x97", "NEXT_BUFFER"], [
      "\x98",
      "READONLY_BUFFER",
    ]]
  ) {
    throwsSentence(
      () => value(`N${pickle}.`),
      new RegExp(`instruction ${name}, which is not supported, at byte 1`),
    );
  }
  throwsSentence(() => value("N\xff."), /no instruction but the byte 0xff at byte 1/);
  throwsSentence(() => value("NQ."), /refers to data outside/);
});

Deno.test("unpickle: broken pickles are refused in one sentence", () => {
  const cases: [pickle: string, message: RegExp][] = [
    ["", /cut off: 1 bytes are wanted at byte 0 of 0/],
    ["K", /cut off/],
    ["X\xff\xff\xff\xffabc.", /cut off: 4294967295 bytes/],
    ["\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.", /cut off: 18446744073709552000 bytes/],
    ["\x96\xff\xff\xff\xff\xff\xff\xff\x7fabc.", /cut off/],
    ["cos\nsystem", /cut off in a line at byte 4/],
    [".", /empty stack/],
    ["(.", /empty stack/],
    ["N(.", /empty stack/],
    ["0.", /empty stack/],
    ["t.", /misses a mark/],
    ["NR.", /empty stack/],
    ["NNR.", /calls None with None/],
    ["N)R.", /calls None/],
    ["(o.", /calls None/],
    ["h\x05.", /recalls value 5, which it never noted/],
    ["NK\x01a.", /appends to None/],
    [")K\x01a.", /appends to a tuple/],
    ["]K\x01K\x02s.", /stores items in a list/],
    ["}(K\x01u.", /key without value/],
    ["](K\x01\x90.", /adds items to a list/],
    ["]Nb.", /sets the state of a list/],
    ["K\x01K\x02\x93.", /names a class by a number and a number/],
    ["I1x\n.", /an integer that is none/],
    ["L99\xb2\n.", /an integer that is none/],
    ["Fx\n.", /a number that is none/],
    ["F\n.", /a number that is none/],
    ["Sx\n.", /a string without quotes/],
    ["\x8b\x00\x00\x10\x00" + "\x01".repeat(1 << 20), /an integer of 1048576 bytes/],
  ];
  for (const [pickle, message] of cases) throwsSentence(() => value(pickle), message);
  assert.throws(() => value("K"), TruncatedPickleError);
});

Deno.test("unpickle: no pickle makes more memory than the limit", () => {
  const limit = { memoryLimit: 1 << 22 };
  const bombs: [name: string, pickle: string][] = [
    ["dicts", "}".repeat(1_000_000)],
    ["lists in each other", "]".repeat(1_000_000) + "a".repeat(999_999) + "."],
    ["tuples in each other", ")" + "\x85".repeat(1_000_000) + "."],
    ["marks", "(".repeat(1_000_000)],
    ["notes", "N" + "\x94".repeat(1_000_000) + "."],
    ["the same list, listed", "]q\x00(" + "h\x00".repeat(500_000) + "e."],
    [
      "sizes of a long list",
      "](" + "K\x01".repeat(1000) + "eq\x00" + "ctorch\nSize\nh\x00\x85R".repeat(300_000) + ".",
    ],
    [
      "a set made again and again",
      "](" + "K\x01".repeat(1000) + "eq\x00" + "cbuiltins\nset\nh\x00\x85R0".repeat(50_000) + ".",
    ],
  ];
  for (const [name, pickle] of bombs) {
    assert.throws(() => unpickle(bytes(pickle), limit), /would take more than 4194304 bytes of memory/, name);
  }
});

Deno.test("unpickle: a pickle ends where it says, and the next one can follow", () => {
  const two = bytes("N.K\x07.");
  assert.deepEqual(unpickle(two, LIMIT), { value: null, end: 2 });
  assert.deepEqual(unpickle(two, LIMIT, 2), { value: 7, end: 5 });
});
