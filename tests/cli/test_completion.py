"""Completions: what a shell offers is what the command takes, no more and no less. Real shells are asked."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S, until

from xenfs import cli, options

FOLDER = Path(__file__).resolve().parents[2] / "contrib" / "completions"
ALL, SHOW, WIPE = "\x0f", "\x07", "\x15"  # keys: put in whatever is offered; write the line to a file; empty it

# Each makes these keys do so, and then says that it is there.
_BASH = r"""
. %(folder)s/bash/xenfs; bind 'set bell-style none' '"\C-o": insert-completions' '"\C-u": kill-whole-line' 2>/dev/null
bind -x '"\C-g": printf "%%s\n" "$READLINE_LINE" >>"$OUT"'; echo >>"$OUT"
"""
_ZSH = r"""
fpath=(%(folder)s/zsh $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e; bindkey '^U' kill-whole-line
show() { print -r -- $BUFFER >>$OUT }; zle -N show; bindkey '^G' show
gather() {
    compadd() { local found; builtin compadd -O found "$@"; said+=($found); builtin compadd "$@" }
    said=(); _main_complete; unfunction compadd; compstate[insert]= compstate[list]=
}
zle -C gather complete-word gather; put() { zle gather; BUFFER+=" ${(u)said}" }; zle -N put; bindkey '^O' put
print >>$OUT
"""


class Shell:
    """An interactive shell at a terminal of its own."""

    def __init__(self, argv: list[str], setup: str, out: Path) -> None:
        self.out = out
        out.touch()
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            os.environ.update(OUT=str(out), TERM="dumb", PS1="", HISTFILE="")
            os.execvp(argv[0], argv)
        self.type(setup % {"folder": FOLDER})
        until(lambda: self.lines() > 0, "the shell")

    def type(self, keys: str) -> None:
        """Type, and read what the terminal shows, lest it fills."""
        os.write(self.terminal, keys.encode())

    def lines(self) -> int:
        while select.select([self.terminal], [], [], 0)[0]:
            os.read(self.terminal, 65536)
        return self.out.read_text().count("\n")

    def line(self, typed: str) -> str:
        """What stands there once the keys were pressed."""
        before = self.lines()
        self.type(typed + SHOW)
        until(lambda: self.lines() > before, typed)
        self.type(WIPE)
        return self.out.read_text().splitlines()[before]

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)

    def completed(self, typed: str) -> str:
        """What the tab key makes of it, where one thing only is offered."""
        return self.line(typed + "\t").rstrip(" ,")

    def offered(self, typed: str) -> list[str]:
        """All that is offered for the last word."""
        line = self.line(typed + ALL)
        return line.removeprefix(typed if line.startswith(typed + " ") else typed.rpartition(" ")[0]).split()


class Fish:
    """fish, which says without a terminal what it offers."""

    def completed(self, typed: str) -> str:
        offered = self.offered(typed)
        return f"{typed.rpartition(' ')[0]} {offered[0]}" if len(offered) == 1 else typed

    def offered(self, typed: str) -> list[str]:
        asked = f"source {FOLDER}/fish/xenfs.fish; complete -C {shlex.quote(typed)}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", asked], capture_output=True, text=True, timeout=2 * PATIENCE_S, check=True
        )
        assert done.stderr == ""
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    def close(self) -> None:
        """Nothing runs."""


ARGV = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
SETUP = {"bash": _BASH, "zsh": _ZSH}


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell | Fish]:
    name = request.param
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed here")
    out = tmp_path_factory.mktemp(name) / "out"
    found = Fish() if name == "fish" else Shell(ARGV[name], SETUP[name], out)
    try:
        yield found
    finally:
        found.close()


def flags(command: str) -> set[str]:
    return {flag for action in cli.parser(command)._actions for flag in action.option_strings}


def test_commands(shell: Shell | Fish) -> None:
    assert {*shell.offered("xenfs "), *shell.offered("xenfs -")} - {"-"} == {*cli.COMMANDS, "--help", "--version"}
    assert shell.completed("xenfs um") == "xenfs umount"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_options_of_each_command(shell: Shell | Fish, command: str) -> None:
    assert set(shell.offered(f"xenfs {command} -")) == flags(command)


def test_words_of_o_and_those_behind_a_comma(shell: Shell | Fish) -> None:
    known = {word.removesuffix("=") for word in options.known()}
    assert {word.removesuffix("=") for word in shell.offered("xenfs mount -o ")} == known
    more = {word.removesuffix("=").rpartition(",")[2] for word in shell.offered("xenfs mount -o uid=0,")}
    assert more - {"uid"} == known - {"uid"}
    assert shell.completed("xenfs mount -o gid=0,li") == "xenfs mount -o gid=0,lifecycle"


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("--hypervisor sim", "--hypervisor simulator"),
        ("--hypervisor=p", "--hypervisor=privcmd"),
        ("-o record=sy", "-o record=syslog"),
        ("-o ro,record=j", "-o ro,record=journal"),
        ("-o policy=/etc/host.c", "-o policy=/etc/host.conf"),
        ("-o run_as=nobod", "-o run_as=nobody"),
        ("/etc/host.c", "/etc/host.conf"),
    ],
)
def test_values(shell: Shell | Fish, typed: str, whole: str) -> None:
    assert shell.completed(f"xenfs mount {typed}") == f"xenfs mount {whole}"


def test_a_choice(shell: Shell | Fish) -> None:
    assert shell.completed("xenfs top --sort cpup") == "xenfs top --sort cpupool"


@pytest.mark.parametrize(
    "typed", ["xenfs doctor /etc/host.c", "xenfs mount --ready-fd /etc/host.c", "xenfs mount -o uid=/etc/host.c"]
)
def test_nothing_where_nobody_can_tell(shell: Shell | Fish, typed: str) -> None:
    assert shell.completed(typed) == typed


def test_every_word_of_o_is_one_that_mount_takes() -> None:
    values = {"umask=": "0", "policy=": "/x", "record=": "off", "run_as=": "nobody"}
    for word in options.known():
        options.parse(word + (values.get(word, "1048576") if word.endswith("=") else ""))
