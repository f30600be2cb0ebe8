/**
 * Folders as they are read from the disk: which images lie where.
 *
 * @module
 */

/** What is in a folder, by name. Names are sorted, links are followed, hidden names are left out. */
export interface FolderTree {
  /** Image files. */
  readonly images: readonly string[];
  /** Files that are not images, and links that lead nowhere. */
  readonly others: readonly string[];
  /** Sub-folders. */
  readonly folders: ReadonlyMap<string, FolderTree>;
}

const IMAGE_NAME = /\.(jpe?g|png|webp|tiff?|gif)$/i;
/** Folders that systems make beside the user's: thumbnails, resource forks, deleted files. */
const SYSTEM_NAMES = ["@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", "lost+found"];

/**
 * Reads a folder and everything below it.
 *
 * @param notes receives a sentence on each folder that links back to one that it lies in, and on names that are not
 * UTF-8, which Deno cannot open
 * @throws {Error} one sentence, where a folder cannot be read
 */
export function readFolderTree(root: string, notes: string[]): FolderTree {
  const unreadable: string[] = [];
  const tree = read(root, [], notes, unreadable);
  if (unreadable.length > 0) {
    notes.push(
      `Left out in ${root}: ${unreadable.length} ${
        unreadable.length === 1 ? "name that is" : "names that are"
      } not ` +
        `UTF-8; rename ${unreadable[0]}${unreadable.length === 1 ? "" : " and the others"} to use them`,
    );
  }
  return tree;
}

/** @param above the real paths of the folders that this one lies in, links followed */
function read(path: string, above: readonly string[], notes: string[], unreadable: string[]): FolderTree {
  const images: string[] = [], others: string[] = [], found: [string, FolderTree][] = [];
  const inside = [...above, realPath(path)];
  for (const entry of entriesOf(path)) {
    const { name } = entry, below = `${path}/${name}`;
    if (isHidden(name)) continue;
    if (isBroken(below, name)) {
      unreadable.push(below);
      continue;
    }
    const { isFile, isDirectory } = entry.isSymlink ? followLink(below) : entry;
    if (!isDirectory) {
      (isFile && IMAGE_NAME.test(name) ? images : others).push(name);
      continue;
    }
    const target = entry.isSymlink ? realPath(below) : null;
    if (target !== null && inside.some((folder) => `${folder}/`.startsWith(`${target}/`))) {
      notes.push(`Left out the folder ${below}: it links back to ${target}`);
    } else found.push([name, read(below, inside, notes, unreadable)]);
  }
  found.sort(([a], [b]) => a < b ? -1 : 1);
  return { images: images.sort(), others: others.sort(), folders: new Map(found) };
}

function isHidden(name: string): boolean {
  return name.startsWith(".") || SYSTEM_NAMES.includes(name);
}

/** Whether a name is not UTF-8: Deno puts U+FFFD in the place of what it cannot read, and does not find it again. */
function isBroken(path: string, name: string): boolean {
  if (!name.includes("\ufffd")) return false;
  try {
    Deno.lstatSync(path);
    return false;
  } catch {
    return true;
  }
}

function entriesOf(path: string): Deno.DirEntry[] {
  return describing(path, () => [...Deno.readDirSync(path)]);
}

function realPath(path: string): string {
  return describing(path, () => Deno.realPathSync(path));
}

function describing<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such folder"
      : error instanceof Deno.errors.NotADirectory
      ? "it is not a folder"
      : error instanceof Deno.errors.PermissionDenied
      ? "there is no permission to read it"
      : String(error);
    throw new Error(`Cannot read the images in ${path}: ${reason}`, { cause: error });
  }
}

/** What a link leads to; nothing where it leads nowhere or in a circle. */
function followLink(path: string): Pick<Deno.FileInfo, "isFile" | "isDirectory"> {
  try {
    return Deno.statSync(path);
  } catch {
    return { isFile: false, isDirectory: false };
  }
}
