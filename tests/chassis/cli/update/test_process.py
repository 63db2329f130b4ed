"""Other programs: told nothing that misleads them, and not outliving an update that is stopped."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from chassis.cli.update.errors import UpdateError
from chassis.cli.update.process import Running, held, run, stoppable, surroundings


def test_what_a_program_prints_and_how_it_ends(tmp_path: Path) -> None:
    script = "import sys; print(sys.stdin.read()); print('bad', file=sys.stderr); sys.exit(3)"
    done = run([sys.executable, "-c", script], tmp_path, text="in")
    assert (done.code, done.stdout, done.stderr, done.output) == (3, "in\n", "bad\n", "in\nbad")


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path) -> None:
    assert (
        run([sys.executable, "-c", r"import os; os.write(1, b'\xff')"], tmp_path).stdout
        == "\N{REPLACEMENT CHARACTER}"
    )


def test_no_program_is_led_to_another_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "MAKEFLAGS",
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "UV_PROJECT_ENVIRONMENT",
    ):
        monkeypatch.setenv(name, "x")
        assert name not in surroundings()
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert (
        surroundings({"A": "b"}).items() >= {"UV_OFFLINE": "1", "A": "b", "GIT_TERMINAL_PROMPT": "0"}.items()
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_program_and_what_it_started(tmp_path: Path, number: signal.Signals) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # The program and its child hold the pipe open; its end is seen when both are gone.
    command = ["sh", "-c", f"sleep 60 > {fifo} & wait"]

    def stop() -> None:
        with fifo.open("rb") as pipe:
            os.kill(os.getpid(), number)
            assert pipe.read() == b""

    thread = threading.Thread(target=stop)
    thread.start()
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stoppable():
        run(command, tmp_path)
    thread.join()
    assert signal.getsignal(number) is before


def test_a_program_goes_on_beside_the_block_and_ends_with_what_goes_wrong_in_it(tmp_path: Path) -> None:
    with Running(["cat"], tmp_path) as running:
        assert running.wait("text").stdout == "text"
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    pipes = []

    def stumble() -> None:
        with Running(["sh", "-c", f"sleep 60 > {fifo}"], tmp_path):
            pipes.append(fifo.open("rb"))
            raise UpdateError("elsewhere")

    with pytest.raises(UpdateError, match="elsewhere"):
        stumble()
    with pipes[0] as pipe:
        assert pipe.read() == b""


def test_a_program_that_was_waited_for_is_not_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda number, _: killed.append(number))

    def stumble() -> None:
        with Running(["true"], tmp_path) as running:
            running.wait()
            raise UpdateError("later")

    with pytest.raises(UpdateError, match="later"):
        stumble()
    assert killed == [], "its number may be that of another program by now"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_waits_for_the_end_of_a_step_that_is_not_to_be_half_done(number: signal.Signals) -> None:
    done = []

    def step() -> None:
        with held():
            os.kill(os.getpid(), number)
            done.append(1)
        done.append(2)

    with pytest.raises(KeyboardInterrupt), stoppable():
        step()
    assert done == [1]
