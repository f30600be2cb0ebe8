/**
 * Work on what will be asked for next.
 *
 * @module
 */

/** The results of a sequence of tasks, of which the next ones are under way while one is used. */
export class Ahead<T> {
  readonly #start: (index: number) => Promise<T>;
  readonly #ahead: number;
  readonly #end: number;
  #started = new Map<number, Promise<T>>();

  /**
   * Nothing is begun yet.
   *
   * @param start begins the task of that number
   * @param ahead how many tasks after the one that is asked for are begun
   * @param end the number after the last task
   */
  constructor(start: (index: number) => Promise<T>, ahead: number, end = Infinity) {
    this.#start = start;
    this.#ahead = ahead;
    this.#end = end;
  }

  /** The result of a task, for the only time. What was begun for another place of the sequence is dropped. */
  get(index: number): Promise<T> {
    const started = this.#started, wanted = new Map<number, Promise<T>>();
    for (let i = index; i <= Math.min(index + this.#ahead, this.#end - 1); i++) {
      wanted.set(i, started.get(i) ?? this.#begin(i));
    }
    const result = wanted.get(index)!;
    wanted.delete(index);
    this.#started = wanted;
    return result;
  }

  #begin(index: number): Promise<T> {
    const task = this.#start(index);
    // It is heard of when, and if, it is asked for.
    task.catch(() => {});
    return task;
  }
}
