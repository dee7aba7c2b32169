"""Text of others is printed with its control characters escaped."""

from __future__ import annotations

import pytest

from psiprune.core.text import counted, escape


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
