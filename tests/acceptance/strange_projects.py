"""Projects that are hard on whoever comes to them new: each function builds one in a folder and returns its root."""

import os
import subprocess
import sysconfig
import textwrap
from collections.abc import Mapping
from pathlib import Path

NEVER = f"86_400.{os.getpid()}"
"""How long they sleep who never end, in seconds: whoever looks for what was left running looks for it, in this process."""
LEDGER = {
    "ledger/__init__.py": "",
    "ledger/money.py": '''
        """Amounts in cents."""

        def parse(text: str) -> int:
            """Return the cents of "12.30"."""
            sign = -1 if text.startswith("-") else 1
            whole, _, part = text.lstrip("-").partition(".")
            if not whole.isdigit() or (part and not part.isdigit()):
                raise ValueError(f"no amount: {text!r}")
            return sign * (int(whole) * 100 + int((part + "00")[:2]))

        def split(cents: int, parts: int) -> list[int]:
            """Return an amount in parts that differ by a cent at most."""
            if parts < 1:
                raise ValueError("no parts")
            each, rest = divmod(cents, parts)
            return [each + 1] * rest + [each] * (parts - rest)
    ''',
    "ledger/account.py": '''
        """Accounts and what is booked on them."""

        from dataclasses import dataclass, field

        from ledger.money import parse

        @dataclass
        class Account:
            """An account with its bookings, in cents."""

            owner: str
            limit: int = 0
            bookings: list[int] = field(default_factory=list)

            def book(self, text: str) -> int:
                """Book an amount and return the balance."""
                amount = parse(text)
                if sum(self.bookings) + amount < -self.limit:
                    raise ValueError("over the limit")
                self.bookings.append(amount)
                return sum(self.bookings)
    ''',
}
TESTS = {
    "tests/test_money.py": """
        import pytest
        from ledger.money import parse, split

        @pytest.mark.parametrize(("text", "cents"), [("1.20", 120), ("3", 300), ("-0.5", -50)])
        def test_parse(text, cents):
            assert parse(text) == cents

        def test_split():
            assert split(10, 3) == [4, 3, 3]
    """,
    "tests/test_account.py": """
        import pytest
        from ledger.account import Account

        def test_book():
            account = Account("ada")
            assert account.book("5") == 500
            assert account.book("-2.50") == 250

        def test_limit():
            with pytest.raises(ValueError):
                Account("bob", limit=100).book("-2")
    """,
    "pyproject.toml": """
        [project]
        name = "ledger"
        version = "1.0"

        [tool.pytest.ini_options]
        pythonpath = ["."]
        testpaths = ["tests"]
    """,
}


def write(root: Path, *groups: Mapping[str, str]) -> Path:
    """Write files, by their paths; later groups replace files of earlier ones."""
    for name, text in {name: text for group in groups for name, text in group.items()}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


def sound(root: Path) -> Path:
    """Nothing is wrong here."""
    return write(root, LEDGER, TESTS)


def failing(root: Path) -> Path:
    """Two tests fail, one of them in its fixture; one fails in every other run."""
    broken = """
        import pathlib
        import pytest
        from ledger.money import split

        @pytest.fixture
        def table():
            raise RuntimeError("the fixture is broken")

        def test_split_is_fair():
            assert split(10, 4) == [3, 3, 2, 3]

        def test_table(table):
            assert table

        def test_every_other_time():
            mark = pathlib.Path(__file__).with_name("mark")
            if mark.exists():
                mark.unlink()
            else:
                mark.touch()
                assert False
    """
    return write(root, LEDGER, TESTS, {"tests/test_broken.py": broken})


def without_tests(root: Path) -> Path:
    """There is no test at all."""
    return write(root, LEDGER, {"README.md": "A ledger.\n"})


def nothing(root: Path) -> Path:
    """There is no Python here."""
    return write(root, {"README.md": "Words only.\n", "data.csv": "a,b\n1,2\n"})


def hanging_child(root: Path) -> Path:
    """One test waits for a process that it started in a session of its own, and that never ends; both ignore SIGTERM."""
    text = """
        import signal
        import subprocess
        import sys

        CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(NEVER)"

        def test_waits_for_its_child():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True).wait()
    """
    return write(root, LEDGER, TESTS, {"tests/test_child.py": text.replace("NEVER", NEVER)})


def leaving_processes(root: Path) -> Path:
    """Tests pass and leave services behind: twice forked, in sessions of their own, one with another environment."""
    text = """
        import subprocess
        import sys

        CHILD = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(NEVER)"

        def test_starts_a_service():
            subprocess.run([sys.executable, "-c", CHILD], check=True)

        def test_starts_a_service_with_a_clean_environment():
            subprocess.run([sys.executable, "-c", CHILD], check=True, env={})
    """
    return write(root, LEDGER, TESTS, {"tests/test_service.py": text.replace("NEVER", NEVER)})


def crashing(root: Path) -> Path:
    """One test ends the interpreter itself."""
    text = "import ctypes\n\n\ndef test_crashes():\n    ctypes.string_at(0)\n\n\ndef test_after():\n    assert True\n"
    return write(root, LEDGER, TESTS, {"tests/test_crash.py": text})


EXTENSION = r"""
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *checksum(PyObject *self, PyObject *arguments) {
    const char *data; Py_ssize_t size; unsigned long sum = 0;
    if (!PyArg_ParseTuple(arguments, "s#", &data, &size)) return NULL;
    for (Py_ssize_t i = 0; i < size; i++) sum = (sum * 31 + (unsigned char)data[i]) % 1000003;
    return PyLong_FromUnsignedLong(sum);
}

static PyMethodDef methods[] = {{"checksum", checksum, METH_VARARGS, "A checksum."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", NULL, -1, methods};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
"""
SIGNED = {
    "ledger/signed.py": '''
        """Lines with a checksum, by a compiled extension."""

        from ledger._fast import checksum

        def sign(line: str) -> str:
            """Return a line with its checksum."""
            return f"{line}#{checksum(line)}"

        def verify(line: str) -> bool:
            """Return whether the checksum of a line is right."""
            text, _, given = line.rpartition("#")
            return given.isdigit() and int(given) == checksum(text)
    ''',
    "ledger/_fast.c": EXTENSION,
    "tests/test_signed.py": """
        from ledger.signed import sign, verify

        def test_signed():
            assert verify(sign("ada;500"))
            assert not verify("ada;500#1")
    """,
    "setup.py": """
        from setuptools import Extension, setup

        setup(name="ledger", packages=["ledger"], ext_modules=[Extension("ledger._fast", ["ledger/_fast.c"])])
    """,
}


def not_compiled(root: Path) -> Path:
    """Its extension was never built."""
    return write(root, LEDGER, TESTS, SIGNED)


def compiled(root: Path) -> Path:
    """It has an extension in C, built in place. Raises OSError or CalledProcessError where there is no compiler."""
    not_compiled(root)
    target = root / "ledger" / f"_fast{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_paths()["include"]
    source = str(root / "ledger" / "_fast.c")
    subprocess.run(["gcc", "-shared", "-fPIC", f"-I{include}", source, "-o", str(target)], check=True, capture_output=True)
    return root


def without_database(root: Path) -> Path:
    """All of its tests need a PostgreSQL server, and are skipped where there is none."""
    tests = """
        import os
        import pytest

        @pytest.fixture
        def database():
            psycopg = pytest.importorskip("psycopg")
            try:
                with psycopg.connect(os.environ.get("LEDGER_DSN", "postgresql://127.0.0.1:1/ledger")) as connection:
                    yield connection
            except psycopg.OperationalError as error:
                pytest.skip(f"no database: {error}")

        def test_server(database):
            assert database.execute("SELECT 1").fetchone() == (1,)
    """
    settings = {"pyproject.toml": TESTS["pyproject.toml"]}
    return write(root, LEDGER, settings, {"tests/integration/test_database.py": tests})


def old_fashioned(root: Path) -> Path:
    """Its package is in src/; its tests are unittest's and use SQLite; tox runs them; its settings are strict."""
    moved = {f"src/{name}": text for name, text in LEDGER.items()}
    tests = """
        import sqlite3
        import unittest

        from ledger.money import parse

        class StoreTest(unittest.TestCase):
            def setUp(self):
                self.store = sqlite3.connect(":memory:")
                self.store.execute("CREATE TABLE booking (owner TEXT NOT NULL, cents INTEGER NOT NULL)")

            def tearDown(self):
                self.store.close()

            def test_sum(self):
                self.store.executemany("INSERT INTO booking VALUES ('ada', ?)", [(parse("5"),), (parse("-2"),)])
                self.assertEqual(self.store.execute("SELECT sum(cents) FROM booking").fetchone(), (300,))

            @unittest.expectedFailure
            def test_words(self):
                parse("ten")
    """
    settings = {
        "setup.cfg": """
            [options]
            package_dir = = src

            [tool:pytest]
            addopts = -ra --strict-markers --durations=3
            testpaths = tests
            filterwarnings = error
        """,
        "tox.ini": "[tox]\nenvlist = py311\n\n[testenv]\ndeps = pytest\ncommands = pytest {posargs}\n",
    }
    return write(root, moved, settings, {"tests/test_store.py": tests})


def syntax_error(root: Path) -> Path:
    """One source file cannot be read by Python, and one test file neither; another source is no UTF-8."""
    broken = {"ledger/report.py": "def report(:\n    return\n", "tests/test_report.py": "from ledger.report import report\n"}
    write(root, LEDGER, TESTS, broken)
    (root / "ledger" / "latin.py").write_bytes("# -*- coding: latin-1 -*-\nNAME = 'Zoë'\n".encode("latin-1"))
    (root / "ledger" / "nul.py").write_bytes(b"X = 1\n\x00\xff\n")
    return root


def raising_conftest(root: Path) -> Path:
    """Its conftest cannot be imported."""
    return write(root, LEDGER, TESTS, {"tests/conftest.py": "raise RuntimeError('set LEDGER_HOME first')\n"})


def missing_dependency(root: Path) -> Path:
    """Its package needs something that is not installed."""
    return write(root, LEDGER, TESTS, {"ledger/__init__.py": "import a_library_that_nobody_has\n"})


def littering(root: Path) -> Path:
    """Its tests write into its own tree, the home folder, the data folder and the temporary folder."""
    text = """
        import os
        import pathlib
        import tempfile

        import ledger

        TREE = pathlib.Path(ledger.__file__).parent

        def test_writes_into_the_tree():
            (TREE / "cache.json").write_text("{}")
            (TREE / "money.py").touch()

        def test_writes_into_the_home():
            (pathlib.Path.home() / ".ledger").write_text("[ledger]")
            pathlib.Path("~/.ledger-too").expanduser().write_text("")

        def test_writes_into_the_data_folder():
            data = pathlib.Path(os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local" / "share")
            data.mkdir(parents=True, exist_ok=True)
            (data / "ledger.db").touch()

        def test_leaves_temporary_files():
            assert tempfile.mkdtemp(prefix="left-behind-")
    """
    return write(root, LEDGER, TESTS, {"tests/test_litter.py": text})


def linked(root: Path, outside: Path) -> Path:
    """It has links out of its tree, one in a circle, one to nothing, a named pipe, and a large sparse file."""
    write(root, LEDGER, TESTS)
    outside.mkdir(parents=True, exist_ok=True)
    (outside / "secret.txt").write_text("kept\n")
    (root / "data").symlink_to(outside)
    (root / "secret.txt").symlink_to(outside / "secret.txt")
    (root / "loop").symlink_to(root)
    (root / "gone").symlink_to(outside / "nothing")
    os.mkfifo(root / "pipe")
    with (root / "large.bin").open("wb") as file:
        file.truncate(20_000_000)
    return root
