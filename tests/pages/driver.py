"""Runs steps of the pages in one process of an environment with the wheel: ``python driver.py steps.json``.

One process, because a start takes longer than most steps. Nothing of this repository is on its path.
"""

import contextlib
import io
import json
import shlex
import sys
import time
import traceback

from snas_nni.command import main


def run(step):
    """Run a command line or Python code; return the exit code."""
    if step["kind"] == "python":
        exec(compile(step["text"], step["name"], "exec"), {"__name__": "__main__"})
        return 0
    sys.argv = shlex.split(step["text"])
    assert sys.argv[0] == "snas-nni"
    return main()


sys.path[0] = ""  # the folder that a user is in, not the one of this file
results = {}
with open(sys.argv[1]) as file:
    steps = json.load(file)
for step in steps:
    said, begin = io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = run(step)
        except SystemExit as error:
            code = error.code or 0
        except BaseException:
            traceback.print_exc(file=said)
            code = 1
    results[step["name"]] = {"code": code, "said": said.getvalue(), "seconds": time.monotonic() - begin}
    with open("results.json", "w") as file:
        json.dump(results, file)
