"""Files that a training writes beside its result, and whose they are after a stop.

An early RBM or a history may stand there before the result does. So a note, .NAME.begun beside the
result NAME, tells before any of them is made which training makes which files; it goes when the
result is written. A start that finds its own note goes on; files of anybody else are never touched.
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
from psiprune.io.run import one_writer


@contextmanager
def written_beside(
    result: Path, files: Sequence[Path], training: Mapping[str, object]
) -> Iterator[None]:
    """While `training` makes `result` and, before it, these files; the block ends with all written.

    Raises:
        InputError: a file is there that is not of this training, another process writes to it, or a
            training was begun that does not write all of them.
        OSError: a folder cannot be written.
    """
    note = result.with_name(f".{result.name}.begun")
    names = {file: os.path.relpath(file.resolve(), result.parent.resolve()) for file in files}
    own = hashlib.sha256(json.dumps(dict(training), sort_keys=True).encode()).hexdigest()
    ours = _noted(note, own)
    begun = next(result.parent.glob(f".{glob.escape(result.name)}.*.checkpoint"), None)
    with ExitStack() as held:
        for file, name in names.items():
            again = file.exists() and name in ours
            held.enter_context(one_writer(file) if again else new_file(file))
            if begun is not None and name not in ours:
                raise InputError(
                    f"{begun}: is of a training that does not write {file}, or of another one; "
                    "give the options it was begun with, or delete it"
                )
        if names and begun is None:
            content = {"training": own, "files": list(names.values())}
            write_bytes(note, json.dumps(content).encode())
        yield
        note.unlink(missing_ok=True)


def _noted(note: Path, training: str) -> Sequence[str]:
    """The files that this very training has noted as its own."""
    if not note.exists():
        return ()
    try:
        found = json.loads(note.read_bytes())
        return [str(name) for name in found["files"]] if found["training"] == training else ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{note}: cannot be read: {error!r}; delete it") from None
