"""How a long run that fails is told: the cause in one line on stderr, the traceback on stdout for who wants it."""

from __future__ import annotations

import contextlib
import errno
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from snas_nni.errors import NotFiniteError, SnasError
from snas_nni.files import write_atomically
from trials.state.signals import StoppedError
from trials.state.user_errors import user_code_error

__all__ = ["exit_code_of", "failures_explained", "other_process_ended", "write_result"]

# What a system says when it has no room, or will not let this process have any.
_NO_SHARED_MEMORY = rf"DataLoader worker.* exit code {errno.ENOSPC}\b"  # see snas_nni.resumable_loader
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def exit_code_of(run: Callable[[], object], what: str) -> int:
    """Run something long and return 0, 1 if it failed with an error that nobody foresaw, 130 or 143 if stopped.

    Args:
        run: what to do.
        what: its name for the message, such as "the search".

    Raises:
        SnasError: a user's mistake, to be shown without a traceback.
    """
    before, threading.excepthook = threading.excepthook, _told_on_stdout
    sys.unraisablehook = _told_on_stdout  # for good, as what failed is deleted after the message
    try:
        run()
    except SnasError:
        raise
    except StoppedError as error:
        return error.exit_code
    except Exception as error:
        traceback.print_exc(file=sys.stdout)
        print(f"error: {what} failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    finally:
        threading.excepthook = before
    return 0


def _told_on_stdout(error: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> None:
    """Of a library's thread or destructor: what it means for the run is told in one line when the run meets it."""
    traceback.print_exception(error.exc_type, error.exc_value, error.exc_traceback, file=sys.stdout)


@contextlib.contextmanager
def failures_explained(output: Path) -> Iterator[None]:
    """Say of failures that come from outside the program what they are, where the state is, and what to do.

    Args:
        output: folder of the run.

    Raises:
        SnasError: in place of errors of the disk and of processes that prepare batches, and of losses that are not
            finite.
    """
    try:
        yield
    except StoppedError:
        print(f"stopped. {_where_it_stands(output)}", file=sys.stderr)
        raise
    except NotFiniteError as error:
        raise NotFiniteError(f"{error} {_where_it_stands(output)}") from error
    except (OSError, SnasError) as error:
        if not output.exists():
            raise SnasError(
                f"output: the folder {output} is gone: it was removed or renamed meanwhile. If it has another name "
                "now, go on from its last checkpoint with --resume and that name"
            ) from error
        from trials.state.checkpoint_files import CheckpointError  # on demand: it brings Lightning, which takes seconds

        if isinstance(error, CheckpointError):
            raise CheckpointError(f"{error}. {_where_it_stands(output)}") from error
        if isinstance(error, ConnectionError) and _is_from_a_loader(error):
            raise _worker_ended(error, output) from error
        if _is_of_shared_memory(error):
            raise _worker_ended(error, output) from error
        refused = _refusal_of_the_disk(error)
        if refused is None:
            if isinstance(error, SnasError):
                raise
            _raise_as_users(error)
        raise SnasError(
            f"output: cannot write {refused.filename or output}: {refused.strerror}. Make room, then resume. "
            f"{_where_it_stands(output)}"
        ) from error
    except RuntimeError as error:
        if _is_of_other_processes(error):
            raise SnasError(other_process_ended(output)) from error
        if "DataLoader worker" not in str(error) and not _is_of_shared_memory(error):
            _raise_as_users(error)
        raise _worker_ended(error, output) from error
    except EOFError as error:
        if not _is_from_a_loader(error):
            _raise_as_users(error)
        raise _worker_ended(error, output) from error
    except Exception as error:
        _raise_as_users(error)


def _worker_ended(error: Exception, output: Path) -> SnasError:
    if _is_of_shared_memory(error):
        return SnasError(
            "the shared memory of this machine (/dev/shm) is full, in which processes hand over the batches that they "
            "prepare. Make room there (docker run --shm-size=2g gives a container more), or set data.workers to 0, "
            f"which needs none. {_where_it_stands(output)}"
        )
    words = (str(error) or type(error).__name__).splitlines()[0]
    return SnasError(
        f"a process that prepares batches ended: {words} Most often memory ran out: set "
        f"data.workers lower (0 prepares batches in the search's own process). {_where_it_stands(output)}"
    )


def other_process_ended(output: Path, code: int | None = None) -> str:
    """Return what is said when one of the processes that train together is gone.

    Args:
        output: folder of the run.
        code: its exit code, as far as that is known.
    """
    how = "" if code is None else f" (exit code {code})"
    return (
        f"a process that trains beside this one ended{how}. Most often memory ran out, or somebody killed it; its own "
        f"words, if it had any, are above. {_where_it_stands(output)}"
    )


def _is_of_other_processes(error: RuntimeError) -> bool:
    """Whether a collective operation failed because another process is gone."""
    words = ("Connection closed by peer", "Connection reset by peer", "NCCL", "gloo/transport")
    return any(each in str(error) for each in words)


def _is_of_shared_memory(error: BaseException | None) -> bool:
    """Whether there was no room for a batch, or for what processes share to take turns."""
    while error is not None:
        files = [frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__)]
        words, own = str(error), any("/multiprocessing/" in file for file in files)
        if "unable to allocate shared memory" in words or re.search(_NO_SHARED_MEMORY, words):
            return True
        if own and isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_from_a_loader(error: Exception) -> bool:
    """Whether an error came up while a batch was fetched: a worker may die while it hands one over."""
    files = (frame.filename.replace("\\", "/") for frame in traceback.extract_tb(error.__traceback__))
    return any(file.endswith("torch/utils/data/dataloader.py") for file in files)


def _raise_as_users(error: Exception) -> NoReturn:
    """Raise an error again, as one of the user's own code if a line of that led to it."""
    explained = user_code_error(error)
    if explained is None:
        raise error
    raise explained from error


def _refusal_of_the_disk(error: BaseException | None) -> OSError | None:
    """Return the disk's own error, which others may have been raised from; None if it is none."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error if error is not None and error.errno in _NO_ROOM else None


def write_result(path: Path, content: bytes) -> None:
    """Write a file that a user asked for, whole.

    Raises:
        SnasError: it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise SnasError(f"output: cannot write {path}: {error.strerror}") from error


def _where_it_stands(output: Path) -> str:
    """Name the last good checkpoint and how to go on from it."""
    from trials.state.checkpoint_files import checkpoints_in

    checkpoints = checkpoints_in(output)
    if (output / "summary.json").exists():
        return f"The results are complete in {output}"
    if not checkpoints:
        return "There is no checkpoint yet."
    return f"The last good checkpoint is {checkpoints[-1]}; go on from it with --resume {output}"
