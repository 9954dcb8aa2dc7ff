"""Completion in the shells themselves, as far as they are installed; and without torch."""

import os
import shutil
import subprocess
import sys

import pytest

from trials.cli import main, module_of, verbs_in_words
from trials.verbs.completion import SHELLS, options_of, script_of

COMMAND = f'"{sys.executable}" -m snas_nni'
PYTHON = f'snas-nni() {{ {COMMAND} "$@"; }}'
BASH = """
complete_line() {
    COMP_WORDS=($1); [ "${1% }" = "$1" ] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _snas_nni; echo "${COMPREPLY[@]}"
}
"""


def in_shell(shell, *lines):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = {"zsh": ("zsh", "-f"), "bash": ("bash", "--norc"), "fish": ("fish", "--no-config")}[shell]
    found = subprocess.run(
        [*program, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert found.stderr == ""
    return found.stdout


def test_bash_completes_verbs_shells_settings_and_options():
    script = script_of("bash", verbs_in_words())
    asked = (
        "snas-nni re",
        "snas-nni completion ",
        "snas-nni search --search.ep",
        "snas-nni predict --to",
        "snas-nni show x",
    )
    printed = in_shell(
        "bash", PYTHON, script, BASH, *(f"complete_line '{line}'" for line in asked), "complete -p snas-nni"
    )
    verbs, shells, settings, options, files, registered = printed.splitlines()
    assert verbs.split() == ["retrain", "report"]
    assert shells.split() == list(SHELLS)
    assert settings.split() == ["--search.epochs"]
    assert options.split() == ["--top"]
    assert files == ""  # bash completes files then
    assert registered == "complete -o default -F _snas_nni snas-nni"


def test_bash_asks_once():
    counting = 'snas-nni() { echo asked >&3; echo "--one --other"; }'
    script = script_of("bash", verbs_in_words())
    printed = in_shell("bash", "exec 3>&1", counting, script, BASH, *["complete_line 'snas-nni show --o'"] * 3)
    assert printed.splitlines().count("asked") == 1
    assert printed.splitlines().count("--one --other") == 3


def test_zsh_completes_verbs_and_options():
    stand_ins = """
compdef() { :; }
compadd() { shift; print -l -- $@; }
_describe() { print -l -- ${(P)2}; }
_files() { print files; }
"""
    script = script_of("zsh", verbs_in_words())
    asked = [f"words=({words}); CURRENT={at}; _snas_nni" for words, at in (
        ("snas-nni ''", 2), ("snas-nni completion ''", 3), ("snas-nni predict --", 3), ("snas-nni show x", 3)
    )]  # fmt: skip
    printed = in_shell("zsh", PYTHON, stand_ins, script, *asked).splitlines()
    assert printed[: len(verbs_in_words())] == [
        f"{verb}:{meaning.replace(chr(39), '')}" for verb, meaning in verbs_in_words().items()
    ]
    rest = printed[len(verbs_in_words()) :]
    assert rest[:3] == list(SHELLS)
    assert rest[3:-1] == options_of(module_of("predict"))
    assert rest[-1] == "files"


def test_fish_completes_verbs_and_options():
    ours = f"function snas-nni; {COMMAND} $argv; end"
    script = script_of("fish", verbs_in_words())
    printed = in_shell("fish", ours, script, "complete -C 'snas-nni re'", "echo", "complete -C 'snas-nni predict --to'")
    verbs, options = printed.split("\n\n")
    assert sorted(line.split("\t")[0] for line in verbs.splitlines()) == ["report", "retrain"]
    assert options.split() == ["--top"]


def test_every_verb_has_options_and_nothing_waits_for_torch():
    code = (
        "import sys, json; from trials.cli import module_of, verbs_in_words; "
        "from trials.verbs.completion import options_of; "
        "found = {verb: options_of(module_of(verb)) for verb in verbs_in_words()}; "
        "assert not {'torch', 'nni', 'onnxruntime'} & set(sys.modules), 'slow imports'; print(json.dumps(found))"
    )
    import json

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    options = json.loads(found)
    assert set(options) == set(verbs_in_words())
    assert "--training.learning_rate" in options["search"]
    assert "--help" in options["card"]
    assert all(options[verb] for verb in options if verb != "bench")


def test_words_and_mistakes(capsys):
    for shell in SHELLS:
        assert main(["completion", shell]) == 0
        assert capsys.readouterr().out == script_of(shell, verbs_in_words())
    assert main(["completion", "--options", "card"]) == 0
    assert "--output" in capsys.readouterr().out.split()
    assert main(["completion", "--options", "nothing"]) == 0
    assert capsys.readouterr().out.strip() == ""
    assert main(["completion"]) == 0
    assert "~/.bashrc" in capsys.readouterr().out


def test_the_list_of_verbs_fits_a_terminal_of_80_columns(capsys):
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
