"""Processes that lack a stream, letters, a reader, space or a home: real ones, in a table."""

import subprocess
import sys
from pathlib import Path

import pytest

ZSLBENCH = Path(sys.executable).with_name("zslbench")
LETTER = "import sys; from zslbench.startup import *; make_lenient(); "
SAY = "print('Möwe'); print('warnung ö', file=sys.stderr)"
MANY = "print('x' * 1000000); sys.exit(3)"
FULL = "zslbench: standard output cannot be written (No space left on device)"


def shell(line, program="", **environment):
    """Run a line of bash in which $P is Python running a program, and $Z the command."""
    names = {"P": sys.executable, "C": LETTER + program, "Z": str(ZSLBENCH), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **names, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    ("line", "encoding", "status", "out", "err"),
    [
        ('$P -c "$C"', "utf-8", 0, "Möwe\n", "warnung ö\n"),
        ('$P -c "$C"', "ascii", 0, "M\\xf6we\n", "warnung \\xf6\n"),
        ('$P -c "$C" >&-', "utf-8", 0, "", "warnung ö\n"),
        ('$P -c "$C" 2>&-', "utf-8", 0, "Möwe\n", ""),
        ('$P -c "$C" <&- >&- 2>&-', "utf-8", 0, "", ""),
        ('$P -c "$C" 2>/dev/full', "utf-8", 0, "Möwe\n", ""),
    ],
)
def test_a_stream_takes_every_letter_or_drops_it(line, encoding, status, out, err):
    assert shell(line, SAY, PYTHONIOENCODING=encoding) == (status, out, err)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('set -o pipefail; $P -c "$C" | head -c 2', "xx"),  # its own status, not the pipe's
        ('set -o pipefail; $P -c "$C" | true', ""),
    ],
)
def test_a_reader_that_leaves_changes_nothing(line, said):
    assert shell(line, MANY) == (3, said, "")


def test_a_stream_that_another_process_made_non_blocking_loses_nothing():
    program = "import os; os.set_blocking(1, False); " + MANY
    assert shell('$P -c "$C" | (sleep 0.3; wc -c)', program)[1:] == ("1000001\n", "")


def test_a_file_opened_after_a_closed_stream_does_not_get_its_number(tmp_path):
    program = f"f = open({str(tmp_path / 'db')!r}, 'w'); print(f.fileno()); sys.stderr.write('x')"
    assert shell('$P -c "$C" 2>&-', program)[1] == "3\n"
    assert (tmp_path / "db").read_text() == ""


def test_a_child_of_a_process_without_streams_has_some():
    program = "import subprocess; subprocess.run(['bash', '-c', 'echo x >&2 && echo there']); "
    assert shell('$P -c "$C" 2>&-', program)[1] == "there\n"


def test_the_command_line_says_in_a_paragraph_that_output_is_lost():
    status, _, err = shell("$Z data --help >/dev/full")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(FULL)


def test_errors_keep_their_status_where_nothing_can_be_printed():
    assert shell("$Z methods nope >&- 2>&-")[0] == 2
    assert shell("$Z methods nope --json >/dev/full 2>/dev/full")[0] == 2


def test_libraries_get_a_home_where_none_is_known():
    alone = "setpriv --reuid=12345 --regid=12345 --clear-groups true"
    if shell(alone)[0]:
        pytest.skip("needs the right to become a user without an entry in the system's list")
    program = "import os, pathlib; os.setuid(12345); os.environ.pop('HOME', 0); supply_missing(); "
    assert shell('$P -c "$C"', program + "print(pathlib.Path.home())")[1] == "/dev/null\n"
    kept = "supply_missing(); import os; print(os.environ['HOME'])"
    assert shell('$P -c "$C"', kept, HOME="/home/me")[1] == "/home/me\n"
