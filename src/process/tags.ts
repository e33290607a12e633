/**
 * The lineage tag: a soft RLIMIT_LOCKS that stands for a command. The kernel has enforced nothing by that limit
 * since Linux 2.4.25, yet every process inherits it through fork, exec, double fork, setsid, a wiped environment
 * and a change of user, and /proc/PID/limits shows it to everybody.
 */

// 63 bits, so that no reader takes it for a negative number: magic (11), instance (21), command (31).
const MAGIC = 0x5b7n;
/** In the place of the magic, in what a helper carries; behind the instance is its number in the place of a command's. */
const HELPER_MAGIC = 0x5b6n;
const INSTANCE_BITS = 21n;
const COMMAND_BITS = 31n;

export interface Tags {
  /** What a process of this command carries. */
  readonly numberOf: (command: string) => bigint;
  /** The command that a `locks` value of the process table stands for, or null: no tag of this upkeep's commands. */
  readonly commandOf: (locks: string | null) => string | null;
  /** True for a tag of this upkeep whose command is not among those it was given. */
  readonly isForgotten: (locks: string | null) => boolean;
  /** True for a tag of another upkeep, and for that of any upkeep's helper: whoever carries it is looked after already. */
  readonly isForeign: (locks: string | null) => boolean;
  /** A number for one program that only helps a command (a probe, say), and for all that it starts: no command's, and no
   * other helper's. */
  readonly nextHelper: () => bigint;
  /** Gives one more command its number, which it would have had from the start; those of the others stay. */
  readonly add: (command: string) => void;
  /** From now on its number is a forgotten one. */
  readonly remove: (command: string) => void;
}

/**
 * @param instance what stays the same when the same upkeep is started again, and differs from any other's on the
 *   machine
 * @param commands unique names
 */
export function createTags(instance: string, commands: readonly string[]): Tags {
  const stem = (MAGIC << INSTANCE_BITS) | hash(instance, INSTANCE_BITS);
  const helperStem = (HELPER_MAGIC << INSTANCE_BITS) | hash(instance, INSTANCE_BITS);
  // Not from the start: a helper of this upkeep's last life may have left somebody.
  let helpers = BigInt(Math.floor(Math.random() * 2 ** Number(COMMAND_BITS)));
  const numbers = new Map<string, bigint>();
  const names = new Map<string, string>();
  function add(command: string): void {
    if (numbers.has(command)) return;
    let number: bigint;
    // Two names with one hash: the later one is given the next number, the same at every start with the same names.
    for (let salt = 0; ; salt++) {
      number = (stem << COMMAND_BITS) | hash(salt === 0 ? command : `${command}\0${salt}`, COMMAND_BITS);
      if (!names.has(String(number))) break;
    }
    numbers.set(command, number);
    names.set(String(number), command);
  }
  for (const command of commands) add(command);
  return {
    numberOf(command) {
      const number = numbers.get(command);
      if (number === undefined) throw new Error(`cannot tag: no command is called "${command}"`);
      return number;
    },
    commandOf: (locks) => (locks === null ? null : (names.get(locks) ?? null)),
    isForeign: (locks) => {
      const itsStem = locks === null ? 0n : BigInt(locks) >> COMMAND_BITS;
      const magic = itsStem >> INSTANCE_BITS;
      return magic === HELPER_MAGIC || (itsStem !== stem && magic === MAGIC);
    },
    nextHelper() {
      helpers = BigInt.asUintN(Number(COMMAND_BITS), helpers + 1n);
      return (helperStem << COMMAND_BITS) | helpers;
    },
    isForgotten: (locks) => locks !== null && !names.has(locks) && BigInt(locks) >> COMMAND_BITS === stem,
    add,
    remove(command) {
      names.delete(String(numbers.get(command)));
      numbers.delete(command);
    },
  };
}

/** The first `bits` of a 64-bit FNV-1a, mixed once more so that names which differ little differ everywhere. (node:crypto
 * would be loaded for nothing else, and it is a tenth of the time to start.) */
export function hash(text: string, bits: bigint): bigint {
  let h = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) h = BigInt.asUintN(64, (h ^ BigInt(byte)) * 0x100000001b3n);
  h = BigInt.asUintN(64, (h ^ (h >> 33n)) * 0xff51afd7ed558ccdn);
  h = BigInt.asUintN(64, (h ^ (h >> 33n)) * 0xc4ceb9fe1a85ec53n);
  return (h ^ (h >> 33n)) >> (64n - bits);
}
