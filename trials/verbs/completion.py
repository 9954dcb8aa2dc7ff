"""``snas-nni completion``: what makes a shell complete verbs and options. Without torch: a key press waits for it."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
from collections.abc import Mapping, Sequence
from importlib import resources

__all__ = ["SHELLS", "options_of", "run", "script_of"]

SHELLS = ("bash", "zsh", "fish")
_SETUP = {
    "bash": 'eval "$(snas-nni completion bash)"            # in ~/.bashrc',
    "zsh": 'eval "$(snas-nni completion zsh)"             # in ~/.zshrc, after compinit',
    "fish": "snas-nni completion fish | source             # in ~/.config/fish/config.fish",
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="snas-nni completion",
        description="Print a script after which the shell completes verbs, options and settings. Once and for all:\n\n"
        + "\n".join(f"  {line}" for line in _SETUP.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, nargs="?", help="bash, zsh or fish")
    parser.add_argument("--options", metavar="VERB", help="print the options of a verb, which the script asks for")
    options = parser.parse_args(arguments)

    from trials.cli import module_of, verbs_in_words

    if options.options is not None:
        known = options.options in verbs_in_words()
        print("\n".join(options_of(module_of(options.options)) if known else []))
    elif options.shell is None:
        parser.print_help()
    else:
        print(script_of(options.shell, verbs_in_words()), end="")
    return 0


def options_of(module: str) -> list[str]:
    """Return the options that a verb's help names, in its order: plain ones and settings alike.

    Args:
        module: dotted path of the verb's module.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        importlib.import_module(module).run(["--help"])
    return list(dict.fromkeys(re.findall(r"(?<![\w-])--[a-z][a-z0-9_.-]*[a-z0-9]", printed.getvalue())))


def script_of(shell: str, verbs: Mapping[str, str]) -> str:
    """Return the script for a shell.

    Args:
        shell: one of ``SHELLS``.
        verbs: with what they do, in some words.
    """
    template = resources.files("trials.verbs.completions").joinpath(f"{shell}.template").read_text(encoding="utf-8")
    if shell == "bash":
        words = " ".join([*verbs, "--help", "--version"])
    elif shell == "zsh":
        words = " ".join(_quoted(f"{verb}:{meaning}") for verb, meaning in verbs.items())
    else:
        lines = (
            f"complete -c snas-nni -f -n __fish_use_subcommand -a {verb} -d {_quoted(meaning)}"
            for verb, meaning in verbs.items()
        )
        words = "\n".join(lines)
    return template.replace("@VERBS@", words)


def _quoted(text: str) -> str:
    plain = text.replace("'", "")  # the three shells agree on nothing else inside single quotes
    return f"'{plain}'"
