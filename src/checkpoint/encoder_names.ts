/**
 * Tells by the names of a state dict where its encoder is.
 *
 * @module
 */

/** The ResNets among some names, and the one that is used. */
export interface EncoderChoice {
  /** What stands before the names of the encoder that is used; null if there is none, or no preference among several. */
  readonly prefix: string | null;
  /** What stands before the names of each ResNet, in the order of the names. */
  readonly candidates: readonly string[];
}

/** The usual names of the trained encoder: this program's, that of MoCo (the other is an average of it), lightly's. */
const PREFERRED = ["encoder", "encoder_q", "backbone"];

/** What wrappers add to names: DataParallel and DistributedDataParallel, Lightning modules, torch.compile. */
const WRAPPERS: ReadonlySet<string> = new Set(["module", "model", "_orig_mod"]);

/** A name that every ResNet has. */
const MARK = "layer1.0.conv1.";

/**
 * Finds the ResNets among names and chooses one: the only one, or the one that is called `encoder`, else `encoder_q`, else
 * `backbone`, but for what wrappers add. There is no choice where two have the same one of these names, or none has any.
 */
export function findEncoder(names: Iterable<string>): EncoderChoice {
  const found = new Set<string>();
  for (const name of names) {
    const at = name.lastIndexOf(MARK);
    if (at === 0 || name[at - 1] === ".") found.add(name.slice(0, at));
  }
  const candidates = [...found];
  if (candidates.length === 1) return { prefix: candidates[0], candidates };
  for (const preferred of PREFERRED) {
    const called = candidates.filter((prefix) => partsOf(prefix).join(".") === preferred);
    if (called.length > 0) return { prefix: called.length === 1 ? called[0] : null, candidates };
  }
  return { prefix: null, candidates };
}

/** The parts of a prefix without those of wrappers. */
function partsOf(prefix: string): string[] {
  return prefix.split(".").filter((part) => part !== "" && !WRAPPERS.has(part));
}

/** What stands before the names of the modules beside the encoder. */
export function outerPrefix(prefix: string): string {
  const parts = prefix.split(".").slice(0, -1);
  const own = parts.findLastIndex((part) => !WRAPPERS.has(part));
  return own < 0 ? prefix : parts.slice(0, own).map((part) => `${part}.`).join("");
}

/** The parts of a ResNet; an encoder without a name of its own stands beside other modules. */
const RESNET_PART = /^(conv1|bn1|layer\d+|fc)\./;

/** A state dict under this program's names: the chosen encoder below `encoder.`, what stands beside it without prefix. */
export function ownNames<T>(state: ReadonlyMap<string, T>, prefix: string): Map<string, T> {
  const outer = outerPrefix(prefix), isNamed = partsOf(prefix).length > 0;
  const encoder = new Map<string, T>(), others = new Map<string, T>();
  for (const [name, value] of state) {
    const inner = name.startsWith(prefix) ? name.slice(prefix.length) : null;
    if (inner !== null && (isNamed || RESNET_PART.test(inner))) encoder.set(`encoder.${inner}`, value);
    else {
      const rest = name.startsWith(outer) ? name.slice(outer.length) : name;
      others.set(rest.replaceAll(/(?<=^|\.)(module|_orig_mod)\./g, ""), value);
    }
  }
  return new Map([...[...others].filter(([name]) => !name.startsWith("encoder.")), ...encoder]);
}
