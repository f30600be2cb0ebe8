/**
 * What the help says of each command beside its flags.
 *
 * @module
 */

import { type CommandName, toArguments } from "./flags.ts";
import { DEMONSTRATION } from "./resolve.ts";

/** The words around the list of flags. */
export interface CommandHelp {
  /** In the list of commands. */
  readonly summary: string;
  /** Above the flags. */
  readonly description: string;
  /** Below the flags. */
  readonly more: string;
  /** What follows the command, where it is not flags alone. */
  readonly usage?: string;
}

const WRITING =
  "Numbers may be written .5, 4. or 1e-3. Dashes and underscores both work: --batch-size, --batch_size.";

/** The help of each command. */
export const COMMANDS: { readonly [K in CommandName]: CommandHelp } = {
  train: {
    summary: "Learn a representation from images",
    description:
      "Learns a representation of images without labels by SimCLR, BYOL, ReLIC or a method of your own, and from " +
      "efference copies as well (S-TEC) if --manip_lambda is above 0. A supervised head learns beside it and is " +
      "tested at the end.",
    more: `
${WRITING}

Without --dataset the built-in demonstration runs, with other defaults:
${wrap(toArguments(DEMONSTRATION))}

Examples:
  S-TEC on CIFAR-10
    deno task train --dataset cifar10 --data_dir D --arch resnet18 --temperature .5 \\
      --learning_rate 4. --manip_lambda 1. --feat_dim 64 --results_path R
  STL-10 on two GPUs
    deno task train --dataset stl10 --data_dir D --arch resnet18 --temperature .2 \\
      --learning_rate 1.2 --manip_lambda .3 --results_path R --use_solarization 1 \\
      --use_gaussian_blur 1 --batch_size 512 --gpus 2
  then its linear classifier
    deno task train --dataset stl10 --data_dir D --arch resnet18 --batch_size 1024 \\
      --max_epochs 100 --optimizer sgd --learning_rate .04 --stop_gradient 2 \\
      --reinitialize_supervised_head 1 --nesterov 1 --p_color_jitter -1 --p_grayscale -1 \\
      --ckpt_path R/last.ckpt --results_path R2
  BYOL with efference copies
    deno task train --dataset cifar10 --data_dir D --arch resnet18 --method byol \\
      --manip_lambda 1 --results_path R
  ImageNet on eight GPUs
    deno task train --dataset imagenet --data_dir D --arch resnet50 --temperature .1 \\
      --learning_rate 1.97 --manip_lambda .6 --results_path R --use_solarization 1 \\
      --use_gaussian_blur 1 --batch_size 210 --gpus 8 --max_epochs 100

Ctrl-C saves a checkpoint and ends with status 130; a second Ctrl-C ends at once.`,
  },
  eval: {
    summary: "Test a checkpoint",
    description:
      "Prints the accuracy of a checkpoint's supervised head on the test set, alone on the last line.",
    more: `
${WRITING}
The flags with which the checkpoint was trained may stay on the command line: those that only
matter to learning are accepted, without effect.

Example:
    deno task eval --dataset cifar10 --data_dir D --arch resnet18 --feat_dim 64 \\
      --ckpt_path R/last.ckpt`,
  },
  probe: {
    summary: "Measure what a checkpoint's features are worth",
    description:
      "Extracts the features of all training and test images once, with the encoder frozen, and prints the test " +
      "accuracies of a linear probe that is trained on them until it converges, of their nearest neighbours, and of " +
      "the supervised head that the checkpoint holds.",
    more: `
${WRITING}
The networks are as the checkpoint has them. The flags with which it was trained may stay on the
command line.

What is printed:
  linear probe   logistic regression (L-BFGS) on standardised features; its weight decay is the one
                 that does best on a tenth of the training images, held out
  k-NN           k nearest training images by cosine, each voting with exp(cosine / 0.1)
  online probe   the checkpoint's supervised head, as \`eval\` tests it

Example:
    deno task probe --dataset cifar10 --data_dir D --ckpt_path R/last.ckpt`,
  },
  preview: {
    summary: "Show views and efference copies on a page",
    description:
      "Writes one HTML page, with all images inside, that shows what a training run sees of the first images of its " +
      "first epoch: both crops, both views, and the matrix between them with its bins; with --ckpt_path also which " +
      "bins the manipulation head predicts.",
    more: `
${WRITING}
The flags of a training run may stay on the command line: with its --seed and view flags, the page
shows the crops, flips and colours that the run draws.

Examples:
    deno task preview
    deno task preview --dataset cifar10 --data_dir D --ckpt_path R/last.ckpt --count 8 -o P.html`,
  },
  export: {
    summary: "Write a checkpoint's encoder for other programs",
    description:
      "Writes the encoder alone, under the names that torchvision's and timm's ResNets load strictly. What a name " +
      "cannot say (the stem, the missing head, the lines of Python that load the file) is printed and kept in the " +
      "file's metadata.",
    more: `
Examples:
    deno task export --ckpt_path R/last.ckpt --to torchvision -o encoder.pth
    deno task export --ckpt_path R/last.ckpt --to timm -o encoder.safetensors`,
  },
  inspect: {
    summary: "Show what is in a .ckpt, .pt or .safetensors file",
    description: "Prints a tree of names, types, shapes, sizes and settings. No weights are loaded.",
    more: `
Example:
    deno task inspect R/last.ckpt`,
    usage: "<file>",
  },
};

/** Words in indented lines. */
function wrap(words: readonly string[]): string {
  const lines = [""];
  for (const word of words.join(" ").split(/ (?=--)/)) {
    if (lines[lines.length - 1].length + word.length > 90) lines.push("");
    lines[lines.length - 1] += ` ${word}`;
  }
  return lines.map((line) => ` ${line}`).join("\n");
}
