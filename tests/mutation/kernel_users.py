"""Find the Python lines that call each kernel: coverage does not see compiled code.

It does not see either what writes LLVM IR, which runs only where a kernel is not in the cache.
"""

from __future__ import annotations

import re

from mutation.baseline import SOURCE

#: Decorators of compiled functions.
COMPILED = ("@compiled", "@called", "@inlined", "@intrinsic", "@overload")
#: Functions and classes that write LLVM IR.
WRITES_IR = re.compile(r"(?:def|class) (\w+).*\b(?:builder|ir)\b", re.DOTALL)


def users_of_kernels() -> dict[tuple[str, str], set[tuple[str, int]]]:
    """Return the lines that name a kernel or one of its callers, by the kernel's file and name."""
    texts = {str(file.relative_to(SOURCE)): file.read_text() for file in SOURCE.rglob("*.py")}
    kernels = {}  # by file and name
    for file, text in texts.items():
        for part in text.split("\n\n\n"):
            if part.lstrip("\n").startswith(COMPILED):
                kernels[file, part.split("def ", 1)[1].split("(", 1)[0]] = part
            elif found := WRITES_IR.match(part.lstrip("\n")):
                kernels[file, found[1]] = part
    users: dict[tuple[str, str], set[tuple[str, int]]] = {}
    for (file, kernel), part in kernels.items():
        names, size = {kernel}, 0
        while len(names) > size:
            size = len(names)
            names |= {k for (_, k), text in kernels.items() if any(n in text for n in names)}
        named = re.compile(rf"\b({'|'.join(sorted(names))})\b")
        lines = {
            (path, k)
            for path, text in texts.items()
            for k, line in enumerate(text.split("\n"), 1)
            if named.search(line) and "import" not in line
        }
        methods = re.findall(r"^    def (\w+)", part, re.MULTILINE) if "class " in part else ()
        users |= {(file, name): lines for name in (kernel, *(f"{kernel}.{m}" for m in methods))}
    return users
