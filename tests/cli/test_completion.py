"""Completions: what a shell offers is what the command takes, no more and no less."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from xenfs import cli, options

FOLDER = Path(__file__).resolve().parents[2] / "contrib" / "completions"


def offered(*words: str) -> list[str]:
    """What bash offers for the last of these words."""
    script = (
        "compopt() { :; }\n"  # it works during a real completion alone
        f". {shlex.quote(str(FOLDER / 'bash' / 'xenfs'))}\n"
        f"COMP_WORDS=({' '.join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1}\n"
        '_xenfs\n[ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def flags(command: str) -> list[str]:
    return sorted(flag for action in cli.parser(command)._actions for flag in action.option_strings)


def test_commands() -> None:
    assert sorted(offered("xenfs", "")) == sorted([*cli.COMMANDS, "--help", "--version"])
    assert offered("xenfs", "um") == ["umount"]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_options_of_each_command(command: str) -> None:
    assert sorted(offered("xenfs", command, "-")) == flags(command)


def test_words_of_o_and_those_behind_a_comma() -> None:
    assert sorted(offered("xenfs", "mount", "-o", "")) == sorted(options.known())
    assert offered("xenfs", "mount", "-o", "ro,life") == ["ro,lifecycle"]
    for word in options.known():
        value = {"uid=": "1", "gid=": "1", "umask=": "0", "policy=": "/x", "record=": "off", "user=": "nobody"}.get(
            word, "1048576"
        )
        options.parse(word + (value if word.endswith("=") else ""))


def test_values() -> None:
    assert offered("xenfs", "mount", "--hypervisor", "sim") == ["simulator"]
    assert "cpu" in offered("xenfs", "top", "--sort", "")


def test_paths_are_left_to_the_shell() -> None:
    assert offered("xenfs", "mount", "/r") == []
    assert offered("xenfs", "watch", "/run/x") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_others_have_the_same(shell: str) -> None:
    path = FOLDER / {"zsh": "zsh/_xenfs", "fish": "fish/xenfs.fish"}[shell]
    text = path.read_text()
    for command in cli.COMMANDS:
        assert command in text
        for flag in flags(command):
            spelt = flag if shell == "zsh" else f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
            assert spelt in text, (command, flag)
    assert all(word in text for word in options.known())
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(path)], check=True, timeout=60)
