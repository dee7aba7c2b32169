"""Each measured number of the README and of docs/ names its source, and equals what kept data give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import page_numbers
from page_numbers import CHECKED, check_command, find_sources, read_page, without_source
from pages import ROOT
from test_docs import page_id

COMMANDS = sorted({command for page in CHECKED for _, command in read_page(page).by})


@pytest.mark.parametrize("path", CHECKED, ids=page_id)
def test_numbers_have_sources(path: Path) -> None:
    page = read_page(path)
    assert find_sources(page) == []
    assert without_source(page) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_numbers_exist(command: str) -> None:
    check_command(command)


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in COMMANDS if " docs/" in each])
def test_scripts_print_numbers(command: str) -> None:
    done = subprocess.run(
        [sys.executable, *command.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert page_numbers._NUMBER.search(done.stdout)
