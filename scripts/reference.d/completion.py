"""Completions for bash, zsh and fish: commands, options, words of -o, values of --hypervisor; paths are the shell's."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

from xenfs import cli, options

HYPERVISORS = ("auto", "privcmd", "simulator")
_MADE = "Made by scripts/reference."


class Argument(NamedTuple):
    """An option of a command. `values`: what may follow it, None where nothing follows, empty where anything may."""

    flags: tuple[str, ...]
    values: tuple[str, ...] | None
    help: str


def arguments(command: str) -> list[Argument]:
    """The options of one command, as its parser has them."""
    found = []
    for action in cli.parser(command)._actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            help = (action.help or "").split(";")[0].split(",")[0].replace("%%", "%")
            found.append(Argument(tuple(action.option_strings), _values(command, action), help))
    return found


def _values(command: str, action: argparse.Action) -> tuple[str, ...] | None:
    if action.nargs == 0:
        return None
    if command == "mount" and "-o" in action.option_strings:
        return options.known()
    if "--hypervisor" in action.option_strings:
        return HYPERVISORS
    return tuple(map(str, action.choices or ()))


def bash() -> str:
    """For /usr/share/bash-completion/completions/xenfs."""
    lines = [f"# {_MADE}", "_xenfs() {", "    local cur prev command words=()", *_BASH_HEAD, "    case $command in"]
    for name in cli.COMMANDS:
        flags = " ".join(flag for argument in arguments(name) for flag in argument.flags)
        lines += [f"        {name})", "            case $prev in"]
        for argument in arguments(name):
            if argument.values is not None:
                lines.append(f"                {'|'.join(argument.flags)}) {_bash_value(argument)} ;;")
        lines += ["            esac", f'            flags="{flags}"', "            ;;"]
    return "\n".join([*lines, *_BASH_TAIL, ""])


_BASH_HEAD = [
    '    local flags=""',
    "    cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}",
    '    if [ "$COMP_CWORD" = 1 ]; then',
    f'        mapfile -t COMPREPLY < <(compgen -W "{" ".join(cli.COMMANDS)} --help --version" -- "$cur")',
    "        return",
    "    fi",
]
_BASH_TAIL = [
    "        *) return ;;",
    "    esac",
    "    if [[ $cur == -* ]]; then",
    '        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")',
    "    else",
    "        compopt -o default # paths are the shell's",
    "        COMPREPLY=()",
    "    fi",
    "}",
    "# -o: what follows the last comma is completed, and no blank is put behind what wants a value.",
    "_xenfs_listed() {",
    '    local cur=$1 head=""',
    "    [[ $cur != *,* ]] || head=${cur%,*},",
    '    mapfile -t COMPREPLY < <(compgen -P "$head" -W "$2" -- "${cur##*,}")',
    "    compopt -o nospace",
    "}",
    "complete -F _xenfs xenfs",
]


def _bash_value(argument: Argument) -> str:
    if not argument.values:
        return "compopt -o default; return"
    words = " ".join(argument.values)
    if "-o" in argument.flags:
        return f'_xenfs_listed "$cur" "{words}"; return'
    return f'mapfile -t COMPREPLY < <(compgen -W "{words}" -- "$cur"); return'


def zsh() -> str:
    """For the function path of zsh, as _xenfs."""
    lines = ["#compdef xenfs", f"# {_MADE}", "local -a commands", "commands=("]
    lines += [f"    {_quoted(f'{name}:{about}')}" for name, about in cli.COMMANDS.items()]
    lines += [")", "if (( CURRENT == 2 )); then", "    _describe command commands", "    return", "fi"]
    lines += ["local command=$words[2]", "shift words", "(( CURRENT-- ))", "case $command in"]
    for name in cli.COMMANDS:
        specs = [f"        {_quoted(spec)}" for argument in arguments(name) for spec in _zsh_specs(argument)]
        lines += [f"    {name})", "        _arguments \\", *(f"    {spec} \\" for spec in specs)]
        lines += ["            '*:path:_files'", "        ;;"]
    return "\n".join([*lines, "esac", ""])


def _zsh_specs(argument: Argument) -> Iterator[str]:
    about = argument.help.replace("[", "(").replace("]", ")").replace(":", " -")
    for flag in argument.flags:
        value = ""
        if argument.values is not None:
            words = " ".join(argument.values)
            listed = f"_values -s , option {words}" if "-o" in argument.flags else f"({words})"
            value = f":value:{listed if words else '_files'}"
        yield f"*{flag}[{about}]{value}" if "-o" in argument.flags else f"{flag}[{about}]{value}"


def fish() -> str:
    """For a folder vendor_completions.d of fish."""
    some = " ".join(cli.COMMANDS)
    lines = [f"# {_MADE}", f"set -l commands {some}"]
    for name, about in cli.COMMANDS.items():
        lines.append(
            f'complete -c xenfs -n "not __fish_seen_subcommand_from $commands" -f -a {name} -d {_quoted(about)}'
        )
    for name in cli.COMMANDS:
        for argument in arguments(name):
            lines.append(f'complete -c xenfs -n "__fish_seen_subcommand_from {name}" {_fish_words(argument)}')
    return "\n".join([*lines, ""])


def _fish_words(argument: Argument) -> str:
    words = [f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in argument.flags]
    if argument.values is not None:
        words.append("-r")
        if argument.values and "-o" in argument.flags:
            words.append(f'-f -a "(__fish_append , {" ".join(argument.values)})"')
        elif argument.values:
            words.append(f'-f -a "{" ".join(argument.values)}"')
    return " ".join([*words, f"-d {_quoted(argument.help)}"])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\u2019") + "'"
