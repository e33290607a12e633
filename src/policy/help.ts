import type { HelpTopic } from './options.ts';

const EXIT_CODES = `Exit codes:
  0   was asked to stop, and everything has stopped
  1   was asked to stop, but something could not be ended
  10  a command has failed for good, and --exit-on-failed or the policy says
      that this ends it
  64  the command line can't be understood
  70  an error of upkeep's own
  78  something configured can't be used`;

const EXAMPLES = `Examples:
  upkeep run "/usr/sbin/sshd" "/etc/init.d/apache2 start"
  upkeep run "web: nginx -g 'daemon off;'" "app: node /srv/app.js"
  docker run IMAGE "/usr/sbin/sshd" "cd /srv && exec python3 app.py"
                            (in an image with ENTRYPOINT ["upkeep", "run"])`;

const TOP = `upkeep keeps several commands running inside one container: it looks for
each one in the process table, starts what is missing, and starts again what
dies.

Usage:
  upkeep run [OPTION…] COMMAND…   keep every COMMAND running
  upkeep run --policy FILE        the same from a file that says how
  upkeep check FILE               tell every mistake in such a file, or what it
                                  would run
  upkeep export --compose FILE    write it as a file of Docker Compose; or
                                  --kubernetes, --swarm
  upkeep simulate FILE            what such a file would do, without doing it
  upkeep inspect FILE             look at what was recorded with run --record

Ask a running upkeep, as in docker exec CONTAINER upkeep status:
  upkeep status [NAME…]           what runs, what does not, and what comes next
  upkeep why NAME                 the evidence: which processes, which rules
  upkeep logs, events [NAME…]     what was written, what has happened
  upkeep start, stop, restart     NAME…, --group NAME or --all
  upkeep signal NAME SIGNAL       send a signal to a command's leader
  upkeep reload [NAME…]           have it read its policy file again
  upkeep health [NAME…]           for HEALTHCHECK and probes: 0 is well
  upkeep shutdown                 stop everything, and end

  upkeep help [VERB]              show this, or the help for one of these
  upkeep completion SHELL         what bash, zsh or fish complete words by
  upkeep --version                show the version

${EXAMPLES}

${EXIT_CODES}
`;

const RUN = `Usage: upkeep run [OPTION…] [--] COMMAND…

Keeps every COMMAND running. A COMMAND is one argument, so it needs quotes where
it has arguments of its own. "NAME: COMMAND" gives it a name; else it is called
after its program or script. It is split into words as a shell would do it; one
that takes a shell (|, &&, $VAR, > …) is given to /bin/sh -c. Programs that put
themselves in the background are kept running like those that don't.

Options, before the first COMMAND:
  --interval DURATION         time between two looks at the process table
                              (50ms to 1h; default: 5s). A death is most often
                              seen at once, and by the next look at the latest
  --grace DURATION            time to stop everything in when asked to stop;
                              what is left is killed (0 to 1h; default: 9s)
  --log plain|json|raw        how upkeep and its commands are logged
                              (default: plain)
  --log-memory SIZE           how much of what each command writes is kept for
                              upkeep logs (1k to 1G; default: 64k)
  --exit-on-failed[=NAME,…]   end when one of these has failed for good; without
                              names: when any command has (default: never)
  --adopt, --no-adopt         take over what runs already instead of starting it
                              once more (default: --adopt)
  --policy FILE               what to keep running, and how: YAML or JSON. Adds
                              to the COMMANDs. SIGHUP has it read again
  --procfile FILE             the same, NAME: COMMAND in each line
  --record FILE               record all that upkeep decides by, for
                              upkeep inspect
  --record-size SIZE          begin another file when it is so large; four are
                              kept beside it (64k to 1G; default: 16M)
  --process-table procfs|ps-list
                              where to look for processes
                              (default: what suits the platform)
  --socket PATH               the control socket (default: /run/upkeep.sock, or
                              where that can't be written a folder that can)
  --no-control                no control socket: upkeep can't be asked anything
  --syslog[=PATH]             log what programs send to syslog, as the lines of
                              their command (PATH: /dev/log; default: don't)
  --http[=[ADDRESS:]PORT]     answer /livez, /readyz and /metrics, for probes
                              and Prometheus (127.0.0.1:8753; default: don't)
  --inspect[=[ADDRESS:]PORT]  show the statecharts as they decide, in a browser
                              (127.0.0.1:9777; default: don't)
  -h, --help                  show this
  -V, --version               show the version
  --                          end of the options

A DURATION is a number with a unit: 500ms, 1.5s, 2m, 1h. Without one: seconds.

${EXAMPLES}

${EXIT_CODES}
`;

const CHECK = `Usage: upkeep check [--json] FILE

Reads a policy file, YAML or JSON, as upkeep run --policy FILE would. Tells
every mistake in it, each with its line and column and what was expected there.
When there is none: what would run, in which order, and how long a stop may
take.

Options:
  --json        the same for a program to read
  -h, --help    show this

Exit codes:
  0   FILE can be used
  64  the command line can't be understood
  78  FILE can't be used

Example:
  upkeep check upkeep.yaml
`;

const COMPLETION = `Usage: upkeep completion bash|zsh|fish

Prints a script by which a shell completes upkeep's verbs and options, and the
names of commands and groups: those of the upkeep that runs.

Options:
  -h, --help    show this

Exit codes:
  0   it is printed
  64  the command line can't be understood

Examples:
  eval "$(upkeep completion bash)"
  eval "$(upkeep completion zsh)"
  upkeep completion fish | source
`;

/** What `--help` shows: at most 80 columns, with a line break at its end. */
export function helpText(topic: HelpTopic | null): string {
  switch (topic) {
    case null:
      return TOP;
    case 'run':
      return RUN;
    case 'check':
      return CHECK;
    case 'completion':
      return COMPLETION;
  }
}
