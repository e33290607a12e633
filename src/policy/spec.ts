/** A managed command, validated: what policy/ hands to the rest. */
export interface CommandSpec {
  /** Unique among the commands of one upkeep. */
  readonly name: string;
  /** As the user wrote it, without its `NAME:`. */
  readonly text: string;
  /** What is executed: a program (with or without a slash) and its arguments. */
  readonly file: string;
  readonly args: readonly string[];
  /** Variables set in front of the command (`A=1 prog`). */
  readonly env: Readonly<Record<string, string>>;
  /** True when /bin/sh -c runs it. */
  readonly shell: boolean;
  /** Basenames that a leader of this command may have (program, script …); for adoption and choice of a leader. */
  readonly fits: readonly string[];
  /** True when the launcher is expected to return (init scripts): it gets the start timeout, not the settle time. */
  readonly returns: boolean;
  /** The command's own stop: `/etc/init.d/X stop` for `/etc/init.d/X start`. */
  readonly stop: { readonly file: string; readonly args: readonly string[] } | null;
}
