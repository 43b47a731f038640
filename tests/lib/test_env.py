import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from environs import Env

from oneapi_admin.lib.env import generated_secret, runtime_dir, secret

PRINT_SECRET = (
    "import sys; from pathlib import Path; from oneapi_admin.lib.env import generated_secret;"
    "sys.stdin.readline(); print(generated_secret(Path(sys.argv[1])))"
)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Env:
    for name in ("A_SECRET", "A_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    return Env()


def test_a_secret_comes_from_its_variable(env, monkeypatch) -> None:
    monkeypatch.setenv("A_SECRET", "from the variable")

    assert secret(env, "A_SECRET", "default") == "from the variable"


def test_a_secret_comes_from_its_file_without_the_final_line_break(env, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("from the file\n")
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "a"))

    assert secret(env, "A_SECRET", "default") == "from the file"


def test_a_secret_that_is_set_nowhere_has_its_default(env) -> None:
    assert secret(env, "A_SECRET", "default") == "default"
    assert secret(env, "A_SECRET") == ""


def test_a_variable_and_a_file_at_once_are_refused(env, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("A_SECRET", "one")
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "a"))

    with pytest.raises(ValueError, match="A_SECRET or A_SECRET_FILE, not both"):
        secret(env, "A_SECRET")


def test_a_file_that_is_not_there_is_an_error(env, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("A_SECRET_FILE", str(tmp_path / "missing"))

    with pytest.raises(FileNotFoundError):
        secret(env, "A_SECRET", "default")


def test_a_generated_secret_is_long_private_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "secret_key"

    first, second = generated_secret(path), generated_secret(path)

    assert first == second
    assert len(first) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret_key"]


def test_twenty_threads_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    start = threading.Barrier(20)

    def read() -> str:
        start.wait(20)
        return generated_secret(tmp_path / "secret_key")

    with ThreadPoolExecutor(20) as pool:
        secrets = [future.result() for future in [pool.submit(read) for _ in range(20)]]

    assert len(set(secrets)) == 1
    assert (tmp_path / "secret_key").read_text() == secrets[0]


def test_processes_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PRINT_SECRET, str(tmp_path / "secret_key")]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(8)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    outputs = {process.communicate(timeout=60)[0] for process in processes}

    assert len(outputs) == 1
    assert outputs.pop().strip() == (tmp_path / "secret_key").read_text()


def test_sockets_live_beside_the_data_unless_the_path_is_too_long() -> None:
    short, long = Path("/srv/data"), Path("/srv") / ("d" * 90)

    assert runtime_dir(short) == Path("/srv/data/run")
    assert len(str(runtime_dir(long))) < 80
    assert runtime_dir(long) == runtime_dir(long) != runtime_dir(long / "other")


def test_an_empty_secret_file_is_an_error_and_not_a_generated_secret(tmp_path, monkeypatch) -> None:
    (tmp_path / "secret").write_text("\n")
    monkeypatch.setenv("SOME_SECRET_FILE", str(tmp_path / "secret"))

    with pytest.raises(ValueError, match="SOME_SECRET_FILE"):
        secret(Env(), "SOME_SECRET")
