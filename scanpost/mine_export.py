"""`scanpost mine export`: the mining tables as files for people outside, with pseudonyms in the place of identifiers.
It must not write the key, nor export without one.
"""

from __future__ import annotations

from pathlib import Path

import click

from scanpost.audited import audited_first
from scanpost.common import Options, json_option, pass_options, print_json, say
from scanpost.mine_window import selection_of, window


@click.command()
@click.option("--pseudonymise", is_flag=True, required=True, help="Has to be said: there is no other export.")
@click.option("--key-file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The secret; the same key gives the same pseudonyms.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="A folder for the files.")
@click.option("--shift-dates", default=0, type=click.IntRange(0, 36_500), metavar="DAYS",
              help="Move all times of a patient back by the same 1 to DAYS days.")  # fmt: skip
@click.option(
    "--with-free-text", is_flag=True, help="With descriptions, protocol names, stations: they may name anybody."
)
@click.option("--with-images", is_flag=True, help="With a file of single images.")
@window
@json_option
@pass_options
def export(
    options: Options, pseudonymise: bool, key_file: Path, out: Path, shift_dates: int, with_free_text: bool,
    with_images: bool, days: float | None, since_text: str | None, until_text: str | None, scanner: str, modality: str,
    node: str, as_json: bool,
) -> None:  # fmt: skip
    """Series and deliveries of a time as CSV, with pseudonyms instead of patient, study, series and SOP identifiers.

    Read in docs/mining.md what that protects and what not. The export is in the audit.

    \b
    Example:
      openssl rand -hex 32 > key
      scanpost mine export --pseudonymise --key-file key --out trial7 --days 365 --shift-dates 30
    """
    from protocol.ledger.mining.export import Terms
    from protocol.ledger.mining.export import export as write
    from protocol.ledger.mining.pseudonyms import Pseudonyms

    try:
        pseudonyms = Pseudonyms(key_file.read_bytes().strip(), shift_dates)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--key-file") from exc
    settings = options.settings()
    selection = selection_of(options, days, since_text, until_text, scanner, modality, node)
    told = {**vars(selection), "free_text": with_free_text, "images": with_images, "shift_dates": shift_dates}
    audited_first(settings, "mine export", "ledger", told)
    try:
        out.mkdir(0o700, parents=True, exist_ok=True)
        counts = write(settings.ledger.url, out, pseudonyms, Terms(selection, with_free_text, with_images))
    except OSError as exc:
        raise click.ClickException(f"cannot write into {out}: {exc.strerror or exc}") from exc
    if as_json:
        print_json({"folder": str(out), "rows": counts})
    else:
        say(f"written into {out}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
