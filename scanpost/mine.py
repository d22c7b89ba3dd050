"""`scanpost mine`: ready queries over the ledger's history, somebody's own SQL, and pseudonymised export.
It only reads the ledger; what the queries are stands in protocol/ledger/mining.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import click

from protocol.ledger.mining.ready import BY_NAME, QUERIES, Query
from scanpost.common import Options, json_option, pass_options, print_answer, print_json, print_table, say
from scanpost.mine_window import selection_of, window

if TYPE_CHECKING:
    from protocol.ledger.mining.asking import Answer


def _output(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of how much is asked and how it is shown."""
    for option in (
        click.option("--csv", "as_csv", is_flag=True, help="Comma separated, for spreadsheets."),
        click.option("--limit", default=10_000, show_default=True, type=click.IntRange(1, 10_000_000), help="Rows at most."),
        click.option("--timeout", "timeout_s", default=60.0, show_default=True, type=click.FloatRange(0.1, 86_400),
                     help="Seconds that the database may take."),
    ):  # fmt: skip
        command = option(command)
    return json_option(command)


class _Group(click.Group):
    """With the export, which is loaded once it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "export"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "export":
            from scanpost.mine_export import export

            return export
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Group)
def mine() -> None:
    """Data mining: what was scanned, when, how, with which dose, and how it was delivered.

    \b
    Examples:
      scanpost mine list                                    the ready queries
      scanpost mine contrast --days 90 --csv > contrast.csv
      scanpost mine protocol-drift --source ct1 --days 365
      scanpost mine export --pseudonymise --key-file key --out trial7
      scanpost mine sql query.sql --limit 500               your own SELECT over the views of docs/mining.md
    """


@mine.command("list")
@json_option
def list_(as_json: bool) -> None:
    """The ready queries.

    \b
    Example: scanpost mine list
    """
    document = [{"query": query.name, "answers": query.sentence, "about": query.about} for query in QUERIES]
    print_answer(as_json, document, ["query", "answers"], [[one["query"], one["answers"]] for one in document])


@mine.command()
@click.argument("name", type=click.Choice([query.name for query in QUERIES]))
@json_option
@pass_options
def describe(options: Options, name: str, as_json: bool) -> None:
    """What a ready query answers, and its SQL as your database gets it.

    \b
    Example: scanpost mine describe contrast
    """
    from protocol.ledger.engine import normalised
    from protocol.ledger.mining.spelling import Selection, spelled
    from protocol.zones import zone_name

    settings, query = options.settings(), BY_NAME[name]
    dialect = normalised(settings.ledger.url).get_backend_name()
    sql = spelled(query.sql, dialect, zone_name(settings.node.zone), Selection(0, 0))
    if as_json:
        print_json({"query": name, "answers": query.sentence, "about": query.about, "database": dialect, "sql": sql})
        return
    click.echo("\n".join(filter(None, (query.sentence, query.about, "", sql))))
    if dialect == "sqlite" and ("local_time(" in sql or "median(" in sql):
        say("local_time() and median() are scanpost's own; they are there in `scanpost mine sql` too")


def _ready(query: Query) -> click.Command:
    """The command of a ready query."""

    @click.command(query.name, help=f"{query.sentence} {query.about}\n\n\b\nExample: scanpost mine {query.name} --days 30",
                   short_help=query.sentence)  # fmt: skip
    @window
    @_output
    @pass_options
    def command(
        options: Options, days: float | None, since_text: str | None, until_text: str | None, scanner: str, modality: str,
        node: str, limit: int, timeout_s: float, as_csv: bool, as_json: bool,
    ) -> None:  # fmt: skip
        from protocol.ledger.mining.asking import ask_ready
        from protocol.zones import zone_name

        settings = options.settings()
        selection = selection_of(options, days, since_text, until_text, scanner, modality, node)
        answer = ask_ready(
            settings.ledger.url, query, selection, zone_name(settings.node.zone), limit=limit, timeout_s=timeout_s
        )
        _show(answer, as_csv, as_json, limit)

    return command


for _query in QUERIES:
    mine.add_command(_ready(_query))


@mine.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@_output
@pass_options
def sql(options: Options, file: TextIO, limit: int, timeout_s: float, as_csv: bool, as_json: bool) -> None:
    """Your own SELECT out of a file, or - for standard input. It cannot change anything.

    That it was asked stands in the audit, without the texts and numbers in it: they may name a patient. The views are described
    in docs/mining.md; those whose names begin with phi_ hold patient data.

    \b
    Examples:
      scanpost mine sql query.sql --csv
      echo "SELECT modality, count(*) FROM mine_series GROUP BY modality" | scanpost mine sql -
    """
    from protocol.ledger.mining.asking import ask_own
    from protocol.ledger.mining.single import without_values
    from scanpost.audited import audited_first

    try:
        text = file.read()
    except UnicodeDecodeError as exc:
        raise click.BadParameter("the file is no UTF-8 text", param_hint="FILE") from exc
    settings = options.settings()
    audited_first(settings, "mine sql", "ledger", {"sql": without_values(text), "limit": limit})
    answer = ask_own(settings.ledger.url, text, limit=limit, timeout_s=timeout_s)
    _show(answer, as_csv, as_json, limit)


def _show(answer: Answer, as_csv: bool, as_json: bool, limit: int) -> None:
    from protocol.ledger.mining.asking import document
    from protocol.ledger.mining.sheet import write_sheet

    if as_csv and as_json:
        raise click.UsageError("give --csv or --json")
    if as_json:
        print_json(document(answer))
    elif as_csv:
        write_sheet(sys.stdout, answer.columns, answer.rows)
    elif answer.rows:
        print_table(answer.columns, [[_cell(value) for value in row] for row in answer.rows])
    else:
        say("nothing was found in that time")
    if answer.cut:
        say(f"only the first {limit} rows are shown; see more with --limit")


def _cell(value: Any) -> Any:
    """Numbers short enough to be read."""
    return f"{value:.6g}" if isinstance(value, float) else value
