"""The counter matrix: what a reader sees while a writer writes, grows, dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from bng.seam.matrix import COLUMNS, TOTALS, Matrix, MatrixReader

INSTANCE = "6f1f1b5e-8f8e-4a55-9a37-0a4a3b2d4c11"


def sweep(matrix: Matrix, value: int) -> None:
    with matrix.writing() as rows:
        rows[:, TOTALS] = value
        matrix.finish_sweep()


def test_reader_sees_sweeps(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path / "matrix", INSTANCE, slots=4)
    reader = MatrixReader(tmp_path / "matrix")
    assert reader.snapshot()[0] == 0
    sweep(matrix, 7)
    before = time.time_ns()
    sweep(matrix, 9)
    tick, time_ns, rows = reader.snapshot()
    assert tick == 2
    assert before <= time_ns <= time.time_ns()
    assert rows.shape == (4, len(COLUMNS))
    assert (rows[:, TOTALS] == 9).all()
    assert reader.instance_id == INSTANCE
    assert reader.snapshot()[2] is rows, "unchanged: the same copy"
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1


def test_no_file_is_an_empty_matrix(tmp_path: Path) -> None:
    reader = MatrixReader(tmp_path / "matrix")
    assert reader.snapshot()[2].shape == (0, len(COLUMNS))
    assert reader.instance_id is None
    Matrix(tmp_path / "matrix", INSTANCE, slots=2)
    assert reader.snapshot()[2].shape == (2, len(COLUMNS))


def test_growth_keeps_rows_and_readers_follow(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path / "matrix", INSTANCE, slots=4)
    reader = MatrixReader(tmp_path / "matrix")
    sweep(matrix, 5)
    reader.snapshot()
    matrix.grow(9)
    assert matrix.slots == 16
    sweep(matrix, 6)
    tick, _, rows = reader.snapshot()
    assert (tick, len(rows)) == (2, 16)


def test_survives_a_restart_of_the_writer(tmp_path: Path) -> None:
    matrix = Matrix(tmp_path / "matrix", INSTANCE, slots=4)
    sweep(matrix, 5)
    other = "00000000-0000-4000-8000-000000000001"
    again = Matrix(tmp_path / "matrix", other, slots=4)
    assert again.tick == 1
    assert (again.rows[:, TOTALS] == 5).all()
    assert MatrixReader(tmp_path / "matrix").instance_id == other


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000, b"AETHERMX" + bytes(5000)])
def test_what_is_no_matrix_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "matrix").write_bytes(content)
    reader = MatrixReader(tmp_path / "matrix")
    assert len(reader.snapshot()[2]) == 0
    Matrix(tmp_path / "matrix", INSTANCE, slots=2)
    assert len(reader.snapshot()[2]) == 2


def _write_for_ever(path: Path) -> None:
    matrix = Matrix(path, INSTANCE, slots=512)
    while True:
        value = matrix.tick + 1
        with matrix.writing() as rows:
            for column in range(1, 7):
                rows[:, column] = value
            matrix.finish_sweep()


def test_no_torn_sweep_while_a_writer_writes_and_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "matrix"
    reader = MatrixReader(path)
    context = multiprocessing.get_context("fork")
    last = 0
    for _ in range(6):
        writer = context.Process(target=_write_for_ever, args=(path,), daemon=True)
        writer.start()
        until = last + 200
        while last < until:
            tick, _, rows = reader.snapshot()
            assert tick >= last
            last = tick
            assert (rows[:, TOTALS] == np.uint64(tick)).all()
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        reader.snapshot()  # a dead writer does not hold up a reader


def test_a_sweep_that_a_dead_writer_left_half_done_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "matrix"
    matrix = Matrix(path, INSTANCE, slots=4)
    sweep(matrix, 1)
    reader = MatrixReader(path)
    reader.snapshot()
    broken = matrix.writing()
    broken.__enter__()[0, TOTALS] = 2
    again = Matrix(path, INSTANCE, slots=4)
    with again.writing() as rows:
        rows[3, 0] = 8
    assert (reader.snapshot()[2][:, TOTALS] == 1).all()
    sweep(again, 3)
    assert (reader.snapshot()[2][:, TOTALS] == 3).all()
