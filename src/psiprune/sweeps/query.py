"""Query the table of a sweep with DuckDB, which then reaches nothing else."""

from __future__ import annotations

import itertools
import os
import resource
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from psiprune.core.exceptions import InputError
from psiprune.core.threads import cores
from psiprune.sweeps.table import arrow_table

#: The table's name in SQL.
NAME = "levels"
#: Bytes that a query may take, and rows that it may return.
MEMORY, MOST_ROWS = 2 << 30, 1_000_000
_STATM = Path("/proc/self/statm")
_CONFIG = {
    "enable_external_access": False,  # no file, no network
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "python_enable_replacements": False,  # no variable of this program
    "temp_directory": "",
    "memory_limit": f"{MEMORY // 2} B",
    "threads": min(4, cores()),  # each reserves address space
}


class Rows(NamedTuple):
    """The answer to a query."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]


def query(sql: str, folder: str | os.PathLike[str]) -> Rows:
    """Query a sweep's table, called `levels`, in DuckDB's SQL; repeated names get numbers.

    The query sees this table only: no files, no network, no extensions, no settings. Ctrl-C stops
    it.

    Raises:
        InputError: DuckDB or the table is missing, or the query is wrong, needs more than 2 GiB of
            memory or returns more than a million rows.
    """
    try:
        import duckdb
    except ImportError:
        raise InputError("query: needs DuckDB: pip install 'psiprune[sweep]'") from None
    table = arrow_table(folder)
    try:
        with duckdb.connect(config=_CONFIG) as connection:
            kinds = [statement.type for statement in connection.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:  # COPY, for one, would write files
                raise InputError(f"query: must be a single SELECT, found {sql!r}")
            connection.register(NAME, table)
            # The bar would go to standard output, amid the result.
            connection.execute("set enable_progress_bar = false; set lock_configuration = true")
            with _limited_memory():
                return _answer(connection, sql)
    except (duckdb.OutOfMemoryException, MemoryError):
        raise InputError(
            f"query: needs more than {MEMORY >> 30} GiB of memory; aggregate, or select fewer rows"
        ) from None
    except duckdb.Error as error:
        raise InputError(f"query: {_line(str(error))}") from None


def _answer(connection: Any, sql: str) -> Rows:
    def run() -> Rows:
        result = connection.execute(sql)
        names = _distinct([column[0] for column in result.description])
        return Rows(names, result.fetchmany(MOST_ROWS + 1))

    with ThreadPoolExecutor(1) as pool:  # Ctrl-C interrupts the main thread only if that waits
        answer = pool.submit(run)
        try:
            found = answer.result()
        except KeyboardInterrupt:
            while not answer.done():  # without effect before the query has begun
                connection.interrupt()
                wait([answer], timeout=0.1)
            raise
    if len(found.rows) > MOST_ROWS:
        raise InputError(
            f"query: returns more than {MOST_ROWS} rows; aggregate, or end it by limit {MOST_ROWS}"
        )
    return found


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Limit the address space of this process; DuckDB's own limit does not count long strings."""
    if not _STATM.exists():  # only Linux has it, and enforces such a limit
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(_STATM.read_text().split()[0]) * resource.getpagesize()
    others = [limit for limit in before if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min([now + MEMORY, *others]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _line(message: str) -> str:
    """Return what DuckDB says, without the place in the query and without Python's traceback."""
    if "'pytz'" in message:
        return "cannot return a time with a time zone; cast it to text: (...)::varchar"
    return message.partition("\n\n")[0].partition("Traceback")[0]


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names with a number added to repeated ones: kl, kl_2."""
    distinct: list[str] = []
    for name in names:
        candidates = (name if k == 1 else f"{name}_{k}" for k in itertools.count(1))
        distinct.append(next(each for each in candidates if each not in distinct))
    return distinct
