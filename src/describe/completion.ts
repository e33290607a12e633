/** `upkeep completion`: what a shell has to know to complete upkeep's words. A bundle of its own. */
import { COMPLETION_SHELLS, type CompletionShell } from '../policy/options.ts';
import { SIGNALS } from '../policy/signals.ts';
import { gistOf, optionsOf, PAGES, type Page, usageOf } from './pages.ts';

/** What can stand somewhere. `commands`, `groups`: those of the upkeep that runs. */
type Words = 'commands' | 'groups' | 'files' | 'nothing' | readonly string[];

interface Verb {
  readonly verb: string;
  readonly gist: string;
  readonly options: readonly {
    readonly names: readonly string[];
    readonly text: string;
    /** null: it takes none, or only behind `=`. */
    readonly value: Words | null;
  }[];
  /** What stands behind the verb; the last of them, as often as one likes. */
  readonly operands: readonly Words[];
}

/** A script for the shell, which it is to run when it begins. */
export function completionScript(shell: CompletionShell): string {
  const verbs: readonly Verb[] = [
    ...PAGES.map(verbOf),
    {
      verb: 'help',
      gist: 'Shows this help',
      options: [],
      operands: [PAGES.map(({ verb }) => verb), 'nothing'],
    },
  ];
  return { bash, zsh, fish }[shell](verbs);
}

function verbOf(page: Page): Verb {
  return {
    verb: page.verb,
    gist: gistOf(page),
    options: optionsOf(page).map(({ names, value, text }) => ({
      names,
      text,
      value: value === '' || value.startsWith('[') ? null : wordsFor(value, names),
    })),
    operands: operandsOf(usageOf(page)[0] ?? ''),
  };
}

function wordsFor(value: string, names: readonly string[]): Words {
  if (value === 'PATH' || value === 'FILE') return 'files';
  if (names.includes('--group')) return 'groups';
  return value.includes('|') ? value.split('|') : 'nothing';
}

/** Read from the usage. */
function operandsOf(usage: string): readonly Words[] {
  const words = usage.split(' ').slice(2);
  if (words.includes('SIGNAL')) return ['commands', SIGNALS, 'nothing'];
  if (words.some((word) => word.includes('NAME…'))) return ['commands'];
  if (words.includes('NAME')) return ['commands', 'nothing'];
  if (words.includes('FILE')) return ['files', 'nothing'];
  if (words.includes(COMPLETION_SHELLS.join('|'))) return [COMPLETION_SHELLS, 'nothing'];
  return words.includes('COMMAND…') ? ['files'] : ['nothing'];
}

/** One name in each line, of the answer to status --json: names have no characters that JSON or a shell would care for. */
const ASK = {
  commands: `s/^"name":"\\([^"]*\\)","kind".*/\\1/p`,
  groups: `s/^"name":"[^"]*","kind":"[a-z]*","group":"\\([^"]*\\)".*/\\1/p`,
};

function bash(verbs: readonly Verb[]): string {
  const reply = (words: Words): string => {
    if (words === 'nothing') return 'COMPREPLY=()';
    if (words === 'files') return 'compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur"))';
    const list = typeof words === 'string' ? `$(_upkeep_ask ${quoted(ASK[words])})` : words.join(' ');
    return `COMPREPLY=($(compgen -W "${list}" -- "$cur"))`;
  };
  const values = verbs.flatMap(({ verb, options }) =>
    options.flatMap(({ names, value }) =>
      value === null ? [] : names.map((name) => `    "${verb} ${name}") ${reply(value)}; return ;;`),
    ),
  );
  const takers = verbs.map(({ verb, options }) => {
    const names = options.flatMap(({ names: each, value }) => (value === null ? [] : each));
    return `    ${verb}) takers=" ${names.join(' ')} " ;;`;
  });
  const optionLists = verbs.map(
    ({ verb, options }) =>
      `      ${verb}) COMPREPLY=($(compgen -W "${options.flatMap(({ names }) => names).join(' ')}" -- "$cur")) ;;`,
  );
  const operands = verbs.flatMap(({ verb, operands: each }) =>
    each.map((words, index) => {
      const place = index === each.length - 1 ? '*' : String(index);
      return `    "${verb} "${place}) ${reply(words)} ;;`;
    }),
  );
  return `# Completion of upkeep for bash: eval "$(upkeep completion bash)"
_upkeep_ask() {
  "\${COMP_WORDS[0]}" status --json "\${socket[@]}" 2>/dev/null | tr '{' '\\n' | sed -n "$1" | sort -u
}
_upkeep() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} verb=\${COMP_WORDS[1]}
  local at word operand=0 takers='' socket=()
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W "${verbs.map(({ verb }) => verb).join(' ')} --help --version" -- "$cur"))
    return
  fi
  # The shell takes --socket=/x for three words.
  [ "$cur" = = ] && cur=''
  [ "$prev" = = ] && prev=\${COMP_WORDS[COMP_CWORD - 2]}
  case $verb in
${takers.join('\n')}
  esac
  for ((at = 2; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    if [[ $takers == *" $word "* ]]; then
      [ "\${COMP_WORDS[at + 1]}" = = ] && at=$((at + 1))
      at=$((at + 1))
      [ "$word" = --socket ] && [ "$at" -lt "$COMP_CWORD" ] && socket=(--socket "\${COMP_WORDS[at]}")
    elif [[ $word != -* ]]; then
      operand=$((operand + 1))
    fi
  done
  case "$verb $prev" in
${values.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case $verb in
${optionLists.join('\n')}
    esac
    return
  fi
  case "$verb $operand" in
${operands.join('\n')}
  esac
}
complete -F _upkeep upkeep
`;
}

function zsh(verbs: readonly Verb[]): string {
  const add = (words: Words): string => {
    if (words === 'nothing') return ':';
    if (words === 'files') return '_files';
    if (typeof words !== 'string') return `compadd -- ${words.join(' ')}`;
    return `compadd -- \${(f)"$(_upkeep_ask ${quoted(ASK[words])})"}`;
  };
  const described = (names: readonly string[], text: string): string =>
    names.map((name) => quoted(`${name}:${text}`)).join(' ');
  const values = verbs.flatMap(({ verb, options }) =>
    options.flatMap(({ names, value }) =>
      value === null ? [] : names.map((name) => `    ${quoted(`${verb} ${name}`)}) ${add(value)}; return ;;`),
    ),
  );
  const takers = verbs.map(({ verb, options }) => {
    const names = options.flatMap(({ names: each, value }) => (value === null ? [] : each));
    return `    ${verb}) takers=(${names.join(' ')}) ;;`;
  });
  const optionLists = verbs.map(
    ({ verb, options }) =>
      `      ${verb}) options=(${options.map(({ names, text }) => described(names, text)).join(' ')}) ;;`,
  );
  const operands = verbs.flatMap(({ verb, operands: each }) =>
    each.map((words, index) => {
      const place = index === each.length - 1 ? '*' : String(index);
      return `    ${quoted(`${verb} `)}${place}) ${add(words)} ;;`;
    }),
  );
  return `#compdef upkeep
# Completion of upkeep for zsh: eval "$(upkeep completion zsh)", or this as _upkeep in a folder of $fpath
_upkeep_ask() {
  $words[1] status --json $socket 2>/dev/null | tr '{' '\\n' | sed -n "$1" | sort -u
}
_upkeep() {
  local verb=$words[2] cur=$words[CURRENT] prev=$words[CURRENT-1]
  local at word operand=0
  local -a verbs options takers socket
  if (( CURRENT == 2 )); then
    verbs=(${verbs.map(({ verb, gist }) => described([verb], gist)).join(' ')})
    _describe -t verbs verb verbs
    return
  fi
  case $verb in
${takers.join('\n')}
  esac
  for (( at = 3; at < CURRENT; at++ )); do
    word=$words[at]
    if (( \${takers[(Ie)$word]} )); then
      (( at++ ))
      [[ $word == --socket && $at -lt $CURRENT ]] && socket=(--socket $words[at])
    elif [[ $word != -* ]]; then
      (( operand++ ))
    fi
  done
  case "$verb $prev" in
${values.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    case $verb in
${optionLists.join('\n')}
    esac
    _describe -t options option options
    return
  fi
  case "$verb $operand" in
${operands.join('\n')}
  esac
}
if [[ $funcstack[1] == _upkeep ]]; then _upkeep "$@"; else compdef _upkeep upkeep; fi
`;
}

function fish(verbs: readonly Verb[]): string {
  const give = (words: Words): string => {
    if (words === 'nothing') return '';
    if (words === 'files') return ' -F';
    if (typeof words !== 'string') return ` -a ${quotedForFish(words.join(' '))}`;
    return ` -a ${quotedForFish(`(__upkeep_ask ${quotedForFish(ASK[words])})`)}`;
  };
  const lines = verbs.flatMap(({ verb, gist, options, operands }) => [
    `complete -c upkeep -n __fish_use_subcommand -a ${verb} -d ${quotedForFish(gist)}`,
    ...options.map(({ names, text, value }) => {
      const flags = names.map((name) =>
        name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
      );
      const taken = value === null ? '' : ` -x${give(value)}`.replace(' -x -F', ' -r -F');
      const when = quotedForFish(`__fish_seen_subcommand_from ${verb}`);
      return `complete -c upkeep -n ${when} ${flags.join(' ')}${taken} -d ${quotedForFish(text)}`;
    }),
    ...operands.flatMap((words, index) => {
      if (words === 'nothing') return [];
      const last = index === operands.length - 1;
      const when = `__upkeep_at ${verb} ${last ? `${index} or more` : index}`;
      return [`complete -c upkeep -n ${quotedForFish(when)}${give(words)}`];
    }),
  ]);
  return `# Completion of upkeep for fish: upkeep completion fish | source
function __upkeep_ask
  set -l words (commandline -opc)
  set -l socket
  set -l at (contains -i -- --socket $words); and set socket --socket $words[(math $at + 1)]
  $words[1] status --json $socket 2>/dev/null | tr '{' '\\n' | sed -n $argv[1] | sort -u
end
# Whether the word that is completed is behind that verb, and so many operands; options of upkeep that take a value are left out.
function __upkeep_at
  set -l words (commandline -opc)
  test (count $words) -ge 2; and test $words[2] = $argv[1]; or return 1
  set -l operands 0
  set -l at 3
  while test $at -le (count $words)
    if contains -- $words[$at] ${valued(verbs).join(' ')}
      set at (math $at + 1)
    else if not string match -q -- '-*' $words[$at]
      set operands (math $operands + 1)
    end
    set at (math $at + 1)
  end
  test $operands -eq $argv[2]; or begin; test (count $argv) -gt 2; and test $operands -gt $argv[2]; end
end
complete -c upkeep -f
${lines.join('\n')}
`;
}

const valued = (verbs: readonly Verb[]): readonly string[] => [
  ...new Set(
    verbs.flatMap(({ options }) => options.flatMap(({ names, value }) => (value === null ? [] : names))),
  ),
];

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** Within its single quotes fish cares for these two. */
const quotedForFish = (text: string): string => `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
