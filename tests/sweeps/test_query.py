"""A query reaches only its table, and ends: by Ctrl-C, or when it needs too much memory."""

from __future__ import annotations

import json
import resource
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

import tiny
from psiprune.core.exceptions import InputError
from psiprune.sweeps import query as module
from psiprune.sweeps.query import query
from refusals import check_refusal, refused

#: Days of work; no row of it is found.
ENDLESS = "select 1 from range(1000000) a, range(1000000) b where a.range + b.range = -1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pd.DataFrame({"kl": [0.5, 0.25], "name": ["a\x1b[31m\nb", "c"]}).to_parquet(
        tmp_path / "sweep.parquet"
    )
    (tmp_path / "secret.csv").write_text("secret\n")
    return tmp_path


#: Files, the network, settings and names of this program.
OUTSIDE = (
    "select * from read_csv('{folder}/secret.csv', header = false)",
    "select * from read_text('{folder}/secret.csv')",
    "select * from read_blob('{folder}/secret.csv')",
    "select * from read_parquet('{folder}/sweep.parquet')",
    "select * from '{folder}/secret.csv'",
    "select * from glob('{folder}/*')",
    "select * from sniff_csv('{folder}/secret.csv')",
    "select * from parquet_metadata('{folder}/sweep.parquet')",
    "select * from query('select * from read_text(''{folder}/secret.csv'')')",
    "select * from read_csv('http://localhost:9/x.csv')",
    "select * from read_parquet('s3://bucket/x.parquet')",
    "select * from duckdb_secrets()",
    "select * from table",
    "select * from pd",
    "set memory_limit = '100GB'",
    "install httpfs",
    "load '{folder}/secret.csv'",
    "attach '{folder}/other.db'",
    "copy levels to '{folder}/copied.csv'",
)
#: What DuckDB calls wrong, or the values that are.
WRONG = {
    "selct 1": "Parser Error",
    "select no_such from levels": "Binder Error",
    "select 1 from nowhere": "Catalog Error",
    "": "found ''",
    "select 1; drop view levels": "found 'select 1; drop view levels'",
}


@pytest.mark.parametrize("sql", [*OUTSIDE, *WRONG])
def test_nothing_outside_is_reached_and_what_is_wrong_is_named(sql: str, folder: Path) -> None:
    before = tiny.contents(folder)
    line = tiny.refusal(tiny.call("query", sql.format(folder=folder), folder))
    check_refusal(line, "query", *([WRONG[sql]] if sql in WRONG else []))
    assert tiny.contents(folder) == before


def test_a_connection_has_one_table_and_no_progress_bar(folder: Path) -> None:
    for name in ("table", "frame", "rows", "connection"):
        with pytest.raises(InputError):
            query(f'select * from "{name}"', folder)
    assert query("select table_name from information_schema.tables", folder).rows == [("levels",)]
    setting = "select current_setting('enable_progress_bar')"
    assert query(setting, folder).rows == [(False,)]


@pytest.mark.parametrize(
    "sql",
    [
        "select length(repeat('a', 4000000000))",
        pytest.param(
            "select array_agg(a.range || repeat('b', 100000)) from range(1000000) a",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_query_that_needs_too_much_memory(sql: str, folder: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    refused(r"^query: needs more than 2 GiB of memory; aggregate", query, sql, folder)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert query("select count(*) from levels", folder).rows == [(2,)]


def test_too_many_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    sql = "select a.range from range(1000000) a, range(1000000) b"
    line = refused(".", query, sql, folder)
    assert line == "query: returns more than 100 rows; aggregate, or end it by limit 100"
    assert len(query(f"{sql} limit 100", folder).rows) == 100


def test_ctrl_c_stops_a_query(folder: Path) -> None:
    main = threading.main_thread().ident
    assert main is not None
    # A shell may start us with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            query(ENDLESS, folder)
        assert time.monotonic() - begin < 10
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_long_cell_is_cut_as_text_and_whole_as_json(folder: Path) -> None:
    sql = "select repeat('x', 5000) as long, name from levels limit 1"
    out = tiny.call("query", sql, folder).out
    assert f" {'x' * 2000}... (5000 characters)" in f" {out.splitlines()[1]}"
    assert out.splitlines()[1].endswith(r"  a\x1b[31m\nb")
    (row,) = json.loads(tiny.call("query", sql, folder, "--json").out)["rows"]
    assert row == {"long": "x" * 5000, "name": "a\x1b[31m\nb"}


def test_a_time_with_a_zone_can_be_cast(folder: Path) -> None:
    line = tiny.refusal(tiny.call("query", "select now()", folder))
    assert line == "query: cannot return a time with a time zone; cast it to text: (...)::varchar"
    assert query("select (now())::varchar", folder).rows[0][0].startswith("2")
