"""Text of others with its control characters escaped; durations and sizes as people write them."""

from __future__ import annotations

import io
from typing import Any

import pytest

from psiprune.core.durations import parse_duration, show_bytes, show_duration
from psiprune.core.text import counted, escape, fold, line_width, shortened
from psiprune.reporting.tables import wrap
from refusals import refused


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("q(0) ⟨Z⟩ ± ψ", "q(0) ⟨Z⟩ ± ψ"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x9b2J\x7f\x00", r"\x9b2J\x7f\x00"),
        ("nc.\u202ezpn", r"nc.\u202ezpn"),
        ("line\u2028paragraph\u2029", r"line\u2028paragraph\u2029"),
        ("\udcff", r"\udcff"),
        ("1.5\u202f×\u00a010⁻⁷", "1.5\u202f×\u00a010⁻⁷"),
        ("", ""),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown
    assert escape(escape(text)) == escape(text)
    assert escape("a\n\x1b", keep="\n") == "a\n\\x1b"


def test_a_noun_follows_its_number() -> None:
    assert [counted(number, "round") for number in (0, 1, 2)] == ["0 rounds", "1 round", "2 rounds"]


def test_of_checksums_only_the_first_digits_are_shown() -> None:
    digest = "0123456789ab" + 52 * "f"
    assert shortened(digest) == "0123456789ab..."
    assert [shortened(each) for each in (digest[1:], 3, None)] == [digest[1:], "3", "None"]


# ---- durations and sizes of memory


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *((90, 90), (1.5, 1.5), ("90", 90), ("90s", 90), ("30m", 1800), ("30 min", 1800)),
        *(("2h", 7200), ("1.5H", 5400), ("1d", 86400), (" 2 d ", 172800)),
    ],
)
def test_a_duration(given: Any, seconds: float) -> None:
    assert parse_duration("max_time", given) == seconds


@pytest.mark.parametrize(
    "given", ["", "h", "2x", "2hh", "1:30", "0", "-1h", "nan", 0, -1.0, float("nan"), True]
)
def test_a_duration_that_is_none(given: Any) -> None:
    refused(r"^max_time: .*30m, 2h or 1d, found", parse_duration, "max_time", given)


def test_durations_and_sizes_have_two_digits() -> None:
    times = (0.2, 1, 42.4, 89, 90, 3599, 3600, 4.2e3, 9e4, 1e6, 1e9)
    assert [show_duration(each) for each in times] == [
        *("<1 s", "1 s", "42 s", "89 s", "1.5 min", "60 min", "1 h", "1.2 h", "25 h", "12 days"),
        "11,574 days",
    ]
    sizes = (1e3, 1e6, 64e6, 999e6, 3.24e9, 1e13)
    assert [show_bytes(each) for each in sizes] == [
        *("<1 MB", "1 MB", "64 MB", "999 MB", "3.2 GB", "10 TB")
    ]
    for each in times[1:6]:  # what is shown can be given
        shown = parse_duration("t", show_duration(each).replace("min", "m"))
        assert shown == pytest.approx(each, rel=0.05)


def test_lines_fit_a_terminal() -> None:
    text = "a.nc: 3 shots\nsource    psiprune: 0.1.0; python: 3.11.7; numpy: 2.4.6\n"
    text += f"next: {'x' * 40}"
    first, source, rest, *_, last, word = fold(text, 30).split("\n")
    assert (first, last, word) == ("a.nc: 3 shots", "next:", "  " + "x" * 40)
    assert source == "source    psiprune: 0.1.0;"
    assert rest.startswith(" " * 10 + "python: 3.11.7;")
    assert fold(text, 100) == text


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert line_width(100) == 100
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert (line_width(100), line_width(40)) == (50, 40)
    assert max(map(len, wrap("word " * 40).split("\n"))) <= 50
