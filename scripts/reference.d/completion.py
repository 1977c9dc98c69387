"""Completions for bash, zsh and fish: commands, options, words of -o and their values, values of --hypervisor.

Paths are the shell's, and where neither it nor xenfs knows what may stand (a number, a state), nothing is offered.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import NamedTuple

from xenfs import cli, options

HYPERVISORS = ("auto", "privcmd", "simulator")
# What follows the words of -o that have a value which can be known: some words, a path, a user.
RECORDS, PATH, USER = options.RECORDS, "path", "user"
VALUES: dict[str, str | tuple[str, ...]] = {"record=": RECORDS, "policy=": PATH, "run_as=": USER}
GENERAL = {"--help": "say how it is used", "--version": "say which version it is"}
_MADE = "Made by scripts/reference."
_YES = ("", "yes")


class Argument(NamedTuple):
    """An option of a command. `values`: what may follow it, None where nothing follows, empty where nobody can tell."""

    flags: tuple[str, ...]
    values: tuple[str, ...] | None
    help: str

    @property
    def listed(self) -> bool:
        """Whether it is the option whose values are a list with commas."""
        return "-o" in self.flags


def arguments(command: str) -> list[Argument]:
    """The options of one command, as its parser has them."""
    return [
        Argument(tuple(action.option_strings), _values(command, action), _brief(action.help or ""))
        for action in cli.parser(command)._actions
        if action.option_strings and action.help != argparse.SUPPRESS
    ]


def takes_paths(command: str) -> bool:
    """Whether words that are no options are paths: it is so of every command that has such words."""
    return any(not action.option_strings for action in cli.parser(command)._actions)


def _values(command: str, action: argparse.Action) -> tuple[str, ...] | None:
    if action.nargs == 0:
        return None
    if command == "mount" and "-o" in action.option_strings:
        return options.known()
    if "--hypervisor" in action.option_strings:
        return HYPERVISORS
    return tuple(map(str, action.choices or ()))


def _brief(help: str) -> str:
    """The first thing that a help text says, without what is in parentheses."""
    return re.split("[;:,]", re.sub(r" \([^()]*\)", "", help))[0].replace("%%", "%")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\u2019") + "'"


# --- bash --------------------------------------------------------------------------------------------------------


def bash() -> str:
    """For /usr/share/bash-completion/completions/xenfs."""
    lines = [f"# {_MADE}", "# shellcheck shell=bash disable=SC2046,SC2086 # words", *_BASH_HEAD, "    case $command in"]
    for name in cli.COMMANDS:
        flags = " ".join(flag for argument in arguments(name) for flag in argument.flags)
        lines += [f"        {name})", f'            flags="{flags}" paths={_YES[takes_paths(name)]}']
        cases = [
            f"                {' | '.join(argument.flags)}) {_bash_value(argument)} ;;"
            for argument in arguments(name)
            if argument.values is not None
        ]
        lines += ["            case $before in", *cases, "            esac"] if cases else []
        lines += ["            ;;"]
    return "\n".join([*lines, *_BASH_TAIL, *_bash_options(), "complete -F _xenfs xenfs", ""])


_BASH_HEAD = [
    "_xenfs() {",
    '    local line=${COMP_LINE:0:COMP_POINT} word before command flags="" paths="" words',
    '    # Whole words: bash cuts its own at "=" and ":" as well.',
    '    read -ra words <<<"$line"',
    '    [[ $line != *[[:blank:]] ]] || words+=("")',
    "    word=${words[-1]} before=${words[-2]} command=${words[1]}",
    "    COMPREPLY=()",
    "    if [[ ${#words[@]} -le 2 ]]; then",
    f'        _xenfs_offer "" {" ".join((*cli.COMMANDS, *GENERAL))}',
    "        return",
    "    fi",
    "    if [[ $word == --*=* ]]; then before=${word%%=*} word=${word#*=}; fi",
]
_BASH_TAIL = [
    "        *) return ;;",
    "    esac",
    "    if [[ $word == -* ]]; then",
    '        _xenfs_offer "" $flags',
    "    elif [[ $paths ]]; then",
    "        compopt -o default",
    "    fi",
    "}",
    "# _xenfs_offer HEAD WORD...: those that go on as the word does behind HEAD, without what bash has cut off",
    "_xenfs_offer() {",
    "    local cur=${COMP_WORDS[COMP_CWORD]}",
    '    [[ $cur != [=:] ]] || cur=""',
    '    mapfile -t COMPREPLY < <(compgen -P "$1" -W "${*:2}" -- "${word#"$1"}")',
    '    COMPREPLY=("${COMPREPLY[@]#"${word%"$cur"}"}")',
    "}",
]  # fmt: skip


def _bash_value(argument: Argument) -> str:
    if argument.listed:
        return "_xenfs_options; return"
    return f'_xenfs_offer "" {" ".join(argument.values)}; return' if argument.values else "return"


def _bash_options() -> Iterator[str]:
    yield "# -o: what follows the last comma, with no blank behind it"
    yield "_xenfs_options() {"
    yield '    local head=""'
    yield "    [[ $word != *,* ]] || head=${word%,*},"
    yield "    compopt -o nospace"
    yield "    case ${word##*,} in"
    for word, values in VALUES.items():
        offer = f'_xenfs_offer "${{head}}{word}"'
        kinds = {PATH: "compopt -o default", USER: f"{offer} $(compgen -u)"}
        told = kinds[values] if isinstance(values, str) else f"{offer} {' '.join(values)}"
        yield f"        {word}*) {told} ;;"
    yield f'        *) _xenfs_offer "$head" {" ".join(options.known())} ;;'
    yield "    esac"
    yield "}"


# --- zsh ---------------------------------------------------------------------------------------------------------


def zsh() -> str:
    """For the function path of zsh, as _xenfs."""
    words = " ".join(_quoted(word.removesuffix("=") + _zsh_value(word)) for word in options.known())
    lines = ["#compdef xenfs", f"# {_MADE}", f"_xenfs_options() {{ _values -s , 'mount option' {words} }}"]
    lines += ["local -a commands", "commands=("]
    lines += [f"    {_quoted(f'{name}:{about}')}" for name, about in cli.COMMANDS.items()]
    lines += [")", "if (( CURRENT == 2 )); then", "    _describe command commands"]
    lines += [f"    _arguments {' '.join(_quoted(f'{flag}[{about}]') for flag, about in GENERAL.items())}"]
    lines += ["    return", "fi"]
    lines += ["local command=$words[2]", "shift words", "(( CURRENT-- ))", "case $command in"]
    for name in cli.COMMANDS:
        specs = [_quoted(spec) for argument in arguments(name) for spec in _zsh_specs(argument)]
        specs += ["'*:path:_files'"] * takes_paths(name)
        lines += [f"    {name})", "        _arguments \\", " \\\n".join(f"            {spec}" for spec in specs)]
        lines += ["        ;;"]
    return "\n".join([*lines, "esac", ""])


def _zsh_value(word: str) -> str:
    """What _values is told of the value of a word of -o."""
    if not word.endswith("="):
        return ""
    values = VALUES.get(word, "number")
    kinds = {PATH: ":path:_files", USER: ":user:_users"}
    return kinds.get(values, f":{values}: ") if isinstance(values, str) else f":value:({' '.join(values)})"


def _zsh_specs(argument: Argument) -> Iterator[str]:
    about = argument.help.replace("[", "(").replace("]", ")")
    for flag in argument.flags:
        value = ""
        if argument.values is not None:
            words = f"({' '.join(argument.values)})" if argument.values else " "
            value = f":value:{'_xenfs_options' if argument.listed else words}"
        equals = "=" * (flag.startswith("--") and argument.values is not None)
        yield f"{'*' * argument.listed}{flag}{equals}[{about}]{value}"


# --- fish --------------------------------------------------------------------------------------------------------


def fish() -> str:
    """For a folder vendor_completions.d of fish."""
    lines = [f"# {_MADE}", *_fish_options(), f"set -l commands {' '.join(cli.COMMANDS)}"]
    none = 'complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f'
    lines += [f"{none} -a {name} -d {_quoted(about)}" for name, about in cli.COMMANDS.items()]
    lines += [f"{none} -l {flag[2:]} -d {_quoted(about)}" for flag, about in GENERAL.items()]
    for name in cli.COMMANDS:
        seen = f'complete -c xenfs -n "__fish_seen_subcommand_from {name}"'
        lines += [] if takes_paths(name) else [f"{seen} -f"]
        lines += [f"{seen} {_fish_words(argument)}" for argument in arguments(name)]
    return "\n".join([*lines, ""])


def _fish_options() -> Iterator[str]:
    yield "# -o: what follows the last comma"
    yield "function __xenfs_options"
    yield "    set -l head (string match -r '^.*,' -- (commandline -ct); or echo '')"
    yield "    set -l last (string replace -r '^.*,' '' -- (commandline -ct))"
    yield "    switch $last"
    for word, values in VALUES.items():
        kinds = {
            PATH: f"(__fish_complete_path (string replace '{word}' '' -- $last))",
            USER: "(__fish_complete_users)",
        }
        offer = kinds[values] if isinstance(values, str) else f"{{{','.join(values)}}}"
        yield f"        case '{word}*'"
        yield f"            printf '%s\\n' $head'{word}'{offer}"
    yield "        case '*'"
    yield f"            printf '%s\\n' $head{{{','.join(options.known())}}}"
    yield "    end"
    yield "end"


def _fish_words(argument: Argument) -> str:
    words = [f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in argument.flags]
    if argument.listed:
        words.append('-x -a "(__xenfs_options)"')
    elif argument.values is not None:
        words.append("-x" + f' -a "{" ".join(argument.values)}"' * bool(argument.values))
    return " ".join([*words, f"-d {_quoted(argument.help)}"])
