/**
 * Image files in folders: ImageNet's layout, and any folder of images.
 *
 * @module
 */

/** Image files and, where they are known, their classes. */
export interface ImageFiles {
  /** The folder that the paths start from. */
  readonly root: string;
  /** Paths below the root. */
  readonly paths: readonly string[];
  /** A class number in [0, classes.length) for each path; absent where there are no classes. */
  readonly labels?: Int32Array<ArrayBuffer>;
  /** The names of the classes: those of their folders, sorted. */
  readonly classes: readonly string[];
}

/** A data set of image files in its three parts. */
export interface ImageFolders {
  /** What is learnt from. */
  readonly train: ImageFiles;
  /** Training images that are held out, to look at during training. */
  readonly validation: ImageFiles;
  /** What is only tested on. */
  readonly test: ImageFiles;
  /** What the user should know about what was found, one sentence each. */
  readonly notes: readonly string[];
}

/** Images of each class that are held out for validation, but never more than a tenth of them. */
const HELD_OUT = 50;
const IMAGE_NAME = /\.(jpe?g|png|webp|tiff?|gif)$/i;

/**
 * Lists ImageNet: `train/CLASS/*.JPEG` and `val/CLASS/*.JPEG`, where `val` is tested on. The first 50 training images of
 * each class, by name, are held out; a tenth, rounded up, where a class has fewer than 500.
 *
 * @throws {Error} one sentence, where a folder is missing, cannot be read, or holds nothing of use
 */
export function listImageNet(dataDir: string): ImageFolders {
  const notes: string[] = [];
  const all = listClasses(`${dataDir}/train`, notes),
    test = listClasses(`${dataDir}/val`, notes, all.classes);
  return { ...holdOut(all, notes), test, notes };
}

/**
 * Lists a folder of images: each sub-folder is a class; without sub-folders there are no labels. There is no test set,
 * so the held-out images are tested on as well.
 *
 * @throws {Error} one sentence, where the folder is missing, cannot be read, or holds no image
 */
export function listImageFolder(dataDir: string): ImageFolders {
  const notes: string[] = [];
  const hasClasses = readFolder(dataDir).folders.some((folder) => !isLoop(dataDir, folder));
  const all = hasClasses ? listClasses(dataDir, notes) : listUnlabelled(dataDir, notes);
  const parts = holdOut(all, notes);
  notes.push(
    `There is no test set in ${dataDir}: tested is on the ${parts.validation.paths.length} held-out images.`,
  );
  return { ...parts, test: parts.validation, notes };
}

/** The images of a folder whose sub-folders are classes; only `classes`, in their order, where those are given. */
function listClasses(root: string, notes: string[], classes?: readonly string[]): ImageFiles {
  const { files, folders, others } = readFolder(root);
  const named = withoutLoops(root, folders, notes).sort();
  if (files.length > 0) {
    const [first] = files.sort();
    notes.push(
      `Left out in ${root}: ${files.length} images that are in no class folder, the first is ${first}.`,
    );
  }
  const stranger = named.find((folder) => classes?.includes(folder) === false);
  if (stranger !== undefined) {
    throw new Error(
      `Cannot read the images in ${root}: there is no class ${stranger} among the training images`,
    );
  }
  classes ??= named;
  const paths: string[] = [], labels: number[] = [], ignored = [...others];
  for (const folder of named) {
    const content = readFolder(`${root}/${folder}`), images = content.files.sort();
    if (images.length === 0) notes.push(`There are no images in the class folder ${root}/${folder}.`);
    const label = classes.indexOf(folder);
    for (const image of images) {
      paths.push(`${folder}/${image}`);
      labels.push(label);
    }
    ignored.push(...[...content.others, ...content.folders].map((name) => `${folder}/${name}`));
  }
  if (paths.length === 0) {
    throw new Error(
      `Cannot read the images in ${root}: there is no class folder with a JPEG, PNG, WebP, TIFF or GIF`,
    );
  }
  noteIgnored(root, ignored, notes);
  return { root, paths, labels: Int32Array.from(labels), classes };
}

/** The images of a folder without classes. */
function listUnlabelled(root: string, notes: string[]): ImageFiles {
  const { files, folders, others } = readFolder(root);
  withoutLoops(root, folders, notes);
  if (files.length === 0) {
    throw new Error(`Cannot read the images in ${root}: there is no JPEG, PNG, WebP, TIFF or GIF`);
  }
  noteIgnored(root, others, notes);
  return { root, paths: files.sort(), classes: [] };
}

function noteIgnored(root: string, ignored: readonly string[], notes: string[]): void {
  if (ignored.length === 0) return;
  notes.push(`Left out in ${root}: ${ignored.length} that are no image files, the first is ${ignored[0]}.`);
}

/** Splits off the images that are held out. */
function holdOut(all: ImageFiles, notes: string[]): Pick<ImageFolders, "train" | "validation"> {
  const sizes = new Map<number, number>(), taken = new Map<number, number>();
  const classOf = (index: number) => all.labels?.[index] ?? 0;
  all.paths.forEach((_, i) => sizes.set(classOf(i), (sizes.get(classOf(i)) ?? 0) + 1));
  const quota = (size: number) => size < 2 ? 0 : Math.min(HELD_OUT, Math.ceil(size / 10));
  const held: number[] = [], kept: number[] = [];
  for (let i = 0; i < all.paths.length; i++) {
    const label = classOf(i), count = taken.get(label) ?? 0;
    const holds = count < quota(sizes.get(label)!);
    (holds ? held : kept).push(i);
    taken.set(label, count + 1);
  }
  const small = [...sizes.values()].filter((size) => quota(size) < HELD_OUT).length;
  if (small > 0) {
    const fewer = `fewer than ${10 * HELD_OUT} images`;
    notes.push(
      all.labels === undefined
        ? `Held out for validation is a tenth, for there are ${fewer}.`
        : `Held out for validation is a tenth in ${small} of ${sizes.size} classes, which have ${fewer}.`,
    );
  }
  return { train: pick(all, kept), validation: pick(all, held) };
}

/** The images with the given numbers. */
function pick({ root, paths, labels, classes }: ImageFiles, indices: readonly number[]): ImageFiles {
  return {
    root,
    paths: indices.map((i) => paths[i]),
    labels: labels && Int32Array.from(indices, (i) => labels[i]),
    classes,
  };
}

/** What is in a folder, links followed. Links that lead nowhere or in a circle are among the others. */
function readFolder(path: string): { files: string[]; folders: string[]; others: string[] } {
  const files: string[] = [], folders: string[] = [], others: string[] = [];
  try {
    for (const entry of Deno.readDirSync(path)) {
      const { isFile, isDirectory } = entry.isSymlink ? followLink(`${path}/${entry.name}`) : entry;
      const list = isDirectory ? folders : isFile && IMAGE_NAME.test(entry.name) ? files : others;
      list.push(entry.name);
    }
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such folder"
      : error instanceof Deno.errors.NotADirectory
      ? "it is no folder"
      : error instanceof Deno.errors.PermissionDenied
      ? "there is no permission to read it"
      : String(error);
    throw new Error(`Cannot read the images in ${path}: ${reason}`, { cause: error });
  }
  return { files, folders, others };
}

/** What a link leads to; nothing where it leads nowhere or in a circle. */
function followLink(path: string): Pick<Deno.FileInfo, "isFile" | "isDirectory"> {
  try {
    return Deno.statSync(path);
  } catch {
    return { isFile: false, isDirectory: false };
  }
}

/** The folders but for links back to one that they lie in, of which the notes tell. */
function withoutLoops(root: string, folders: readonly string[], notes: string[]): string[] {
  return folders.filter((folder) => {
    const loops = isLoop(root, folder);
    if (loops) {
      const target = Deno.realPathSync(`${root}/${folder}`);
      notes.push(`Left out is the folder ${root}/${folder}: it is a link back to ${target}.`);
    }
    return !loops;
  });
}

/** Whether a folder is a link back to one that it lies in. */
function isLoop(root: string, folder: string): boolean {
  return `${Deno.realPathSync(root)}/`.startsWith(`${Deno.realPathSync(`${root}/${folder}`)}/`);
}
