/** The median of numbers: the mean of the two in the middle where there is an even number of them. */
export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
