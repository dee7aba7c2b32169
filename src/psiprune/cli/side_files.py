"""Files that a training writes in addition to its result, and their owner after a stop.

An early RBM or a history may exist before the result does. So before any of them is written, a
note, .NAME.begun in the folder of the result NAME, records which training writes which files; it is
removed once the result is written. A start that finds its note resumes; other files are never
overwritten.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from psiprune.cli.app import new_file
from psiprune.core.exceptions import InputError
from psiprune.io.netcdf import write_bytes
from psiprune.io.paths import side_file
from psiprune.io.run import one_writer


@contextmanager
def written_beside(
    result: Path, files: Sequence[Path], training: Mapping[str, object]
) -> Iterator[None]:
    """Reserve the files that `training` writes before `result`; the block ends with all written.

    Raises:
        InputError: a file exists that is not of this training, another process writes to it, or a
            training was begun that does not write all of them.
        OSError: a folder cannot be written.
    """
    note = side_file(result, "begun")
    names = {file: os.path.relpath(file.resolve(), result.parent.resolve()) for file in files}
    digest = hashlib.sha256(json.dumps(dict(training), sort_keys=True).encode()).hexdigest()
    noted = _noted_files(note, digest)
    checkpoints = glob.escape(side_file(result, "").name) + "*.checkpoint"
    begun = next(result.parent.glob(checkpoints), None)
    with ExitStack() as stack:
        for file, name in names.items():
            again = file.exists() and name in noted
            stack.enter_context(one_writer(file) if again else new_file(file))
            if begun is not None and name not in noted:
                raise InputError(
                    f"{begun}: belongs to a training that does not write {file}, or to another one;"
                    " give the options it was started with, or delete it"
                )
        if names and begun is None:
            content = {"training": digest, "files": list(names.values())}
            write_bytes(note, json.dumps(content).encode())
        yield
        note.unlink(missing_ok=True)


def _noted_files(note: Path, training: str) -> Sequence[str]:
    """Return the files in the note if it is of this training."""
    if not note.exists():
        return ()
    try:
        content = json.loads(note.read_bytes())
        return [str(name) for name in content["files"]] if content["training"] == training else ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{note}: cannot be read: {error!r}; delete it") from None
