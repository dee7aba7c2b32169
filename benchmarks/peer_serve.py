"""Answer requests of `peers.Peer`: JSON in, JSON out, line by line, in the peers' environment."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

Task = Callable[[dict[str, Any]], dict[str, Any]]


def serve(packages: tuple[str, ...], tasks: dict[str, Task]) -> None:
    """Print a line with the versions of the packages; then one answer for each line read.

    A request names its task; arrays in it are paths of .npy files.
    """
    versions = {name: version(name) for name in packages}
    print(json.dumps({**versions, "python": platform.python_version()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(tasks[request["task"]](request)), flush=True)
