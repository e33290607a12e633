/** The help for the verbs that ask a running upkeep: at most 80 columns, with a line break at its end. */
import type { ControlVerb } from './options.ts';

const SOCKET = `  --socket PATH     the control socket of that upkeep (default: as for upkeep
                    run)
  -h, --help        show this`;

const waiting = (most: string): string => `  --no-wait         do not wait until it is so
  --timeout DURATION
                    how long to wait (default: ${most}). It goes on
                    afterwards`;

const CODES: Readonly<Record<number, string>> = {
  0: 'it is so',
  1: 'it did not come true; the reason is told',
  4: 'no command has that name',
  7: 'no upkeep listens there',
  64: "the command line can't be understood",
  70: "an error of upkeep's own",
  74: 'what is shown cannot be written, as to a full disk',
};

const codes = (more: Readonly<Record<number, string>> = {}): string =>
  Object.entries({ ...CODES, ...more })
    .filter(([, text]) => text !== '')
    .map(([code, text]) => `  ${code.padEnd(3)} ${text}`)
    .join('\n');

const order = (verb: string, what: string, more: string): string => `Usage: upkeep ${verb} [OPTION…] NAME…
       upkeep ${verb} [OPTION…] --group NAME
       upkeep ${verb} [OPTION…] --all

${what}

Options:
${waiting('1m')}
  --group NAME      all commands of a group
  --all             all commands
${SOCKET}

Exit codes:
${codes()}

${more}
`;

const HELP: Readonly<Record<ControlVerb, string>> = {
  status: `Usage: upkeep status [OPTION…] [NAME…]

Shows each command's state, for how long it has been in it, its leader's pid and
how long that has lived, restarts, how it ended last, and what comes next.

Options:
  --json            for programs: see docs/reference/control.md
  -w, --watch       draw it again and again, in place
${SOCKET}

Exit codes:
${codes({ 0: 'everything is as it is wished to be', 1: '', 3: 'something is not' })}

Examples:
  docker exec CONTAINER upkeep status
  upkeep status --json | jq '.commands[] | select(.asWished | not)'
`,
  why: `Usage: upkeep why [OPTION…] NAME

Shows the evidence: every process that is the command's, or could be by its
name, with the rule that says so; how the leader became it; the last
transitions; and who wished it up or down.

Options:
  --json            for programs
${SOCKET}

Exit codes:
${codes({ 0: 'it is told', 1: '' })}

Example:
  upkeep why apache2
`,
  start: order(
    'start',
    'Wishes commands up, and waits until they run, and are ready where they have a\nreadiness probe; a oneshot, until it is done. What counted against them is\nforgotten. A command of a schedule that waits for its time is run at once. Who\nis required is started before those that require it.',
    'Examples:\n  upkeep start web\n  upkeep start --group backend --timeout 5m',
  ),
  stop: order(
    'stop',
    'Wishes commands down, and waits until nothing of them is left. Nothing starts\nthem again but start or restart. Who is required by others is stopped after\nthem.',
    'Examples:\n  upkeep stop --timeout 30s db\n  upkeep stop --all',
  ),
  restart: order(
    'restart',
    'Stops commands and starts them again, and waits until they run. Of several,\nthose that require others are stopped first and started last.',
    'Example:\n  upkeep restart --group backend',
  ),
  reload: `Usage: upkeep reload [OPTION…] [NAME…]
       upkeep reload [OPTION…] --group NAME
       upkeep reload [OPTION…] --all

Has a running upkeep read its policy file again, and waits until what is started
or restarted for it runs. What is wrong in the file is told, and then nothing
changes; else only what differs is stopped, started or restarted. With NAMEs, a
group or all: tells these commands to read their own configuration again, by the
signal or command that the policy names (reload:), and waits until the command
has ended; a signal is sent, and that is all.

Options:
${waiting('1m')}
  --group NAME      those of a group that run, and of which the policy says how
  --all             the same of all commands
${SOCKET}

Exit codes:
${codes({ 78: "the file can't be used; nothing has changed" })}

Examples:
  docker exec CONTAINER upkeep reload
  upkeep reload --timeout 5m nginx
`,
  signal: `Usage: upkeep signal [--socket PATH] NAME SIGNAL

Sends a signal to a command's leader, and to nobody else.

Options:
${SOCKET}

Exit codes:
${codes({ 0: 'it is sent', 1: 'it cannot be sent; the reason is told' })}

Example:
  upkeep signal nginx USR1
`,
  shutdown: `Usage: upkeep shutdown [OPTION…]

Stops everything, within the grace that upkeep was given, and ends upkeep: as
PID 1, the container.

Options:
${waiting('the grace')}
${SOCKET}

Exit codes:
${codes({ 0: 'it has ended', 4: '' })}

Example:
  upkeep shutdown
`,
  logs: `Usage: upkeep logs [OPTION…] [NAME…]

Shows what the commands have written last, as far as it is kept in memory
(upkeep run --log-memory), or what they write from now on.

Options:
  -f, --follow      go on with what comes
  -n, --lines N     the last N lines
  --since DURATION  what was written in this time
  --json            for programs: one object in each line
${SOCKET}

Exit codes:
${codes({ 0: 'it is shown', 1: 'there is nothing to see (upkeep run --log raw), or it hung up for others' })}

Examples:
  upkeep logs -n 50 web
  upkeep logs -f --since 5m
`,
  events: `Usage: upkeep events [OPTION…] [NAME…]

Shows what has happened: transitions, launches, exits, adoptions, probes,
orders. Each has a number, without a gap.

Options:
  -f, --follow      go on with what comes
  -n, --lines N     the last N
  --since ID        those behind this number; what is kept no more is told
  --json            for programs: one object in each line
${SOCKET}

Exit codes:
${codes({ 0: 'it is shown', 1: 'no event has that number yet, or it hung up for others' })}

Example:
  upkeep events -f --json
`,
  health: `Usage: upkeep health [OPTION…] [NAME…]

For HEALTHCHECK, and for probes of orchestrators.

Options:
  --ready           everything is as it is wished to be (default)
  --live            upkeep answers, and nothing has failed for good
  --json            for programs
${SOCKET}

Exit codes:
${codes({ 0: 'so it is', 1: 'it is not; what is not is told' })}

Example:
  HEALTHCHECK CMD ["upkeep", "health"]
`,
};

export function verbHelp(verb: ControlVerb): string {
  return HELP[verb];
}
