/**
 * Image files in folders: ImageNet's layout, and any folder of images.
 *
 * @module
 */

import type { DatasetDefaults, FilesEntry } from "./entry.ts";
import { type FolderTree, readFolderTree } from "./folder_tree.ts";
import { IMAGE_FORMATS } from "./image_format.ts";

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
  /** The images to learn from. */
  readonly train: ImageFiles;
  /** The images to look at during training. */
  readonly validation: ImageFiles;
  /** The images that are only tested on. */
  readonly test: ImageFiles;
}

const DEFAULTS: DatasetDefaults = { image_size: 224, first_conv: true, maxpool1: true, jitter_strength: 1 };

/** ImageNet in the catalog. */
export const IMAGENET: FilesEntry = {
  title: "ImageNet",
  defaults: DEFAULTS,
  stored: "files",
  list: listImageNet,
};

/** Any folder of images in the catalog. */
export const FOLDER: FilesEntry = {
  title: "a folder of images",
  hint: "one sub-folder a class, or images without labels",
  defaults: DEFAULTS,
  stored: "files",
  list: listImageFolder,
};

/** Images of each class that are held out for validation, but never more than a tenth of them. */
const HELD_OUT = 50;
/** Names of folders that split a data set. */
const TRAIN = "train", TEST = "test", VALIDATION = ["val", "valid", "validation"];

/**
 * Lists ImageNet: `train/CLASS/*.JPEG` and `val/CLASS/*.JPEG`, where `val` is the test set. The first 50 training images
 * of each class, by name, are held out; a tenth, rounded up, where a class has fewer than 500.
 *
 * @param notes receives what the user should know, one sentence each, also where this fails
 * @throws {Error} one sentence, where a folder is missing, cannot be read, or holds nothing of use
 */
export function listImageNet(dataDir: string, notes: string[] = []): ImageFolders {
  const [train, val] = [TRAIN, "val"].map((name) => {
    const root = `${dataDir}/${name}`;
    return { root, tree: readFolderTree(root, notes) };
  });
  const all = listClasses(train.root, train.tree, notes) ?? refuse(train.root, "class folder with a ");
  const test = listTest(val.root, val.tree, all, notes) ?? refuse(val.root, "class folder with a ");
  return { ...holdOut(all, notes), test };
}

/**
 * Lists a folder of images: each sub-folder is a class, with the images in folders below it. Without sub-folders, or with
 * one alone, there are no labels. `train` with `val`, `test` or both splits the data set; otherwise images are held out
 * as for ImageNet, and tested on as well.
 *
 * @param notes receives what the user should know, one sentence each, also where this fails
 * @throws {Error} one sentence, where the folder is missing, cannot be read, or holds no image
 */
export function listImageFolder(dataDir: string, notes: string[] = []): ImageFolders {
  return recognize(dataDir, readFolderTree(dataDir, notes), notes);
}

/** What {@linkcode listImageFolder} makes of a folder once it is read. */
export function recognize(root: string, tree: FolderTree, notes: string[]): ImageFolders {
  const splits = splitsOf(tree);
  if (splits === null) return withoutTest(root, holdOut(listAny(root, tree, notes), notes), notes);
  const { validation, test } = splits, names = [TRAIN, validation, test].filter((name) => name !== null);
  notes.push(`Splits of the data set in ${root}: ${names.join(", ")}`);
  const all = listAny(`${root}/${TRAIN}`, tree.folders.get(TRAIN)!, notes);
  const list = (name: string | null) =>
    name === null ? null : listTest(`${root}/${name}`, tree.folders.get(name)!, all, notes);
  const [watched, tested] = [list(validation), list(test)];
  // One split alone is the test set, as in ImageNet.
  if (watched !== null && tested !== null) return { train: all, validation: watched, test: tested };
  const parts = holdOut(all, notes), only = tested ?? watched;
  return only === null ? withoutTest(root, parts, notes) : { ...parts, test: only };
}

/** The names of the folders that split a data set; null if its folders with images are something else. */
function splitsOf(tree: FolderTree): { validation: string | null; test: string | null } | null {
  const names = [...tree.folders].filter(([, folder]) => hasImages(folder)).map(([name]) => name);
  const validation = names.find((name) => VALIDATION.includes(name)) ?? null;
  const test = names.includes(TEST) ? TEST : null;
  const splits = [TRAIN, validation, test].filter((name) => name !== null);
  const isSplit = splits.length > 1 && splits.length === names.length && names.includes(TRAIN) &&
    tree.images.length === 0;
  return isSplit ? { validation, test } : null;
}

function hasImages({ images, folders }: FolderTree): boolean {
  return images.length > 0 || [...folders.values()].some(hasImages);
}

function withoutTest(
  root: string,
  parts: Pick<ImageFolders, "train" | "validation">,
  notes: string[],
): ImageFolders {
  const { labels, paths } = parts.validation;
  // Without labels there is nothing to test.
  if (labels !== undefined) {
    notes.push(`No test set in ${root}; testing on the ${paths.length} validation images`);
  }
  return { ...parts, test: parts.validation };
}

/** The images of a folder, with classes if its sub-folders are. */
function listAny(root: string, tree: FolderTree, notes: string[]): ImageFiles {
  return listClasses(root, tree, notes) ?? refuse(root, "");
}

function refuse(root: string, what: string): never {
  throw new Error(`Cannot read the images in ${root}: there is no ${what}${IMAGE_FORMATS}`);
}

/** The images of a folder whose sub-folders are classes; without labels if it has none or one; null without images. */
function listClasses(root: string, tree: FolderTree, notes: string[]): ImageFiles | null {
  const { images, folders } = tree, classes = classesOf(root, folders, notes);
  if (classes.length < 2) {
    const paths = pathsBelow(tree);
    noteOthers(root, tree, notes);
    if (classes.length === 1) {
      notes.push(`Only one class folder in ${root}, ${classes[0]}: training without labels`);
    }
    return paths.length === 0 ? null : { root, paths, classes: [] };
  }
  noteOutside(root, images, notes);
  return listLabelled(root, tree, classes, classes, notes);
}

/** The images of a folder with the classes of the training images; null if those have labels and these have not. */
function listTest(root: string, tree: FolderTree, train: ImageFiles, notes: string[]): ImageFiles | null {
  if (train.labels === undefined) {
    noteOthers(root, tree, notes);
    const paths = pathsBelow(tree);
    return paths.length === 0 ? null : { root, paths, classes: [] };
  }
  const folders = classesOf(root, tree.folders, notes);
  const stranger = folders.find((folder) => !train.classes.includes(folder));
  if (stranger !== undefined) {
    throw new Error(
      `Cannot read the images in ${root}: there is no class ${stranger} among the training images`,
    );
  }
  noteOutside(root, tree.images, notes);
  return folders.length === 0 ? null : listLabelled(root, tree, folders, train.classes, notes);
}

function listLabelled(
  root: string,
  tree: FolderTree,
  folders: readonly string[],
  classes: readonly string[],
  notes: string[],
): ImageFiles {
  const paths: string[] = [], labels: number[] = [];
  for (const folder of folders) {
    const label = classes.indexOf(folder);
    for (const path of pathsBelow(tree.folders.get(folder)!)) {
      paths.push(`${folder}/${path}`);
      labels.push(label);
    }
  }
  noteOthers(root, tree, notes);
  return { root, paths, labels: Int32Array.from(labels), classes };
}

/** The folders with images. */
function classesOf(root: string, folders: ReadonlyMap<string, FolderTree>, notes: string[]): string[] {
  return [...folders].filter(([name, folder]) => {
    const isClass = hasImages(folder);
    if (!isClass) notes.push(`No images in the folder ${root}/${name}: it is not a class`);
    return isClass;
  }).map(([name]) => name);
}

/** The images of a folder and of those below, folder by folder, as torchvision's `ImageFolder` lists them. */
function pathsBelow(tree: FolderTree): string[] {
  return foldersBelow("", tree).sort(([a], [b]) => a < b ? -1 : 1)
    .flatMap(([prefix, { images }]) => images.map((image) => `${prefix}${image}`));
}

/** A folder and those below, by what their paths begin with. */
function foldersBelow(prefix: string, tree: FolderTree): [string, FolderTree][] {
  const below = [...tree.folders].flatMap(([name, folder]) => foldersBelow(`${prefix}${name}/`, folder));
  return [[prefix, tree], ...below];
}

function noteOutside(root: string, images: readonly string[], notes: string[]): void {
  if (images.length === 0) return;
  const count = `${images.length} ${images.length === 1 ? "image" : "images"}`;
  notes.push(`Left out in ${root}: ${count} outside the class folders, the first is ${images[0]}`);
}

function noteOthers(root: string, tree: FolderTree, notes: string[]): void {
  const others = foldersBelow("", tree).flatMap(([prefix, { others }]) =>
    others.map((name) => prefix + name)
  );
  if (others.length === 0) return;
  const count = others.length === 1
    ? "1 file that is not an image"
    : `${others.length} files that are not images`;
  notes.push(`Left out in ${root}: ${count}, the first is ${others[0]}`);
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
        ? `Holding out 10% of the images for validation (${fewer})`
        : `Holding out 10% of ${small} of ${sizes.size} classes for validation (${fewer})`,
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
