"""Lines of the log go out whole: several processes of one actor write into one pipe."""

from __future__ import annotations

import io

import structlog

from actors.log import Output


class Pieces(io.StringIO):
    """What each write to the system would be."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def flush(self) -> None:
        self.pieces.append(self.getvalue())
        self.seek(0)
        self.truncate()


def test_a_line_and_its_end_are_one_write() -> None:
    stream = Pieces()
    logger = structlog.PrintLogger(Output(stream, None))  # type: ignore[arg-type]
    logger.msg('{"action": "one"}')
    logger.msg('{"action": "two"}')
    assert stream.pieces == ['{"action": "one"}\n', '{"action": "two"}\n']


def test_a_line_that_nobody_reads_is_written_into_the_file(tmp_path) -> None:
    stream = io.StringIO()
    stream.close()
    output = Output(stream, tmp_path / "receiver.log")
    output._keep_stdout_quiet = lambda: None  # type: ignore[method-assign]
    print('{"action": "one"}', file=output)  # type: ignore[arg-type]
    assert (tmp_path / "receiver.log").read_text() == '{"action": "one"}\n'
