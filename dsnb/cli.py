"""The `dsnb` command: what one wants from a terminal rather than from a notebook."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import dsnb
from dsnb.errors import DsnbError

if TYPE_CHECKING:
    from dsnb.emulator import Emulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status (0 well, 1 something is wrong, 2 wrong usage)."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except DsnbError as error:
        print(f"dsnb: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # what a shell reports for Ctrl-C


def emulate(options: argparse.Namespace) -> int:
    """Serve the emulator until Ctrl-C or a termination signal; each line typed meanwhile sets the faults anew."""
    from dsnb.emulator.faults import written

    over = threading.Event()
    emulator = dsnb.Emulator(
        options.as_of,
        engine=options.engine,
        faults=written(options.faults or ()),
        seed=options.seed,
        pace=options.pace,
        port=options.port,
    )
    with emulator:
        signal.signal(signal.SIGTERM, lambda *_: over.set())
        if hasattr(signal, "SIGTTIN"):  # a shell's background job may not read, and need not stop for that
            signal.signal(signal.SIGTTIN, signal.SIG_IGN)
        day = f"{emulator.contract.instant:%Y-%m-%d}"
        print(f"The DeepSeek API as of {day}, emulated at {emulator.base_url} (any key will do; Ctrl-C ends it)")
        print(f'  dsnb.connect("{emulator.base_url}", api_key="any", as_of="{day}")', flush=True)
        threading.Thread(target=_set_faults, args=(emulator, sys.stdin), daemon=True).start()
        over.wait()
    return 0


def _set_faults(emulator: Emulator, lines: TextIO) -> None:
    """Take each line as the faults from the next request on, an empty one as none."""
    from dsnb.emulator.faults import written

    while line := _read(lines):
        try:
            emulator.faults = written(line.split())
        except DsnbError as error:
            print(f"dsnb: {error} The faults stay as they were.", file=sys.stderr, flush=True)
        else:
            print(f"faults: {line.strip() or 'none'}", flush=True)


def _read(lines: TextIO) -> str:
    try:
        return lines.readline()
    except OSError:  # not ours to read
        return ""


def models(options: argparse.Namespace) -> int:
    """Print the models that the API takes on a date, with their limits and prices."""
    contract = dsnb.contract.at(options.as_of or datetime.now(UTC))
    when = "peak" if contract.calendar.is_peak(contract.instant) else "off-peak"
    rows = [("model", "served by", "context", "max output", "thinking", "USD per 1M tokens: hit", "miss", "output")]
    for model in contract.models:
        usd = contract.price(model).usd
        money = ("?", "?", "?") if usd is None else (f"{usd.hit}", f"{usd.miss}", f"{usd.output}")
        limits = (f"{model.context_window:,}", f"{model.max_output:,}")
        rows.append((model.name, model.build, *limits, model.thinking, *money))
    print(f"The DeepSeek API on {contract.instant:%Y-%m-%d %H:%M} UTC ({when})")
    print(_table(rows))
    return 0


def lab(options: argparse.Namespace) -> int:
    """Open JupyterLab on the notebooks: the checkout's own, or copies in this folder."""
    from dsnb.lab import notebooks, serve

    folder = notebooks(options.folder)
    print(f"JupyterLab opens {folder} (Ctrl-C ends it)", flush=True)
    return serve(folder, options.jupyter)


def usage(options: argparse.Namespace) -> int:
    """Print what the calls in a ledger took and cost, in sums by one label or several."""
    from dsnb.usage import UsageLog, default_path

    path = options.ledger or default_path()
    if not path.exists():
        print(f"There is no ledger at {path} yet: live calls make it. (What the emulator answers is kept in memory.)")
        return 0
    with closing(UsageLog(path)) as log:
        print(repr(log)[1:-1])
        if options.csv:
            log.frame(options.rows).to_csv(options.csv, index=False)
            print(f"All {options.rows} are now in {options.csv}.")
        else:
            print(log.summary(options.by).to_string())
    return 0


def experiment(options: argparse.Namespace) -> int:
    """Run an experiment that comes with the kit: live with a key, else against an emulator; without a name list them.

    With --store it goes on where an earlier run stopped, and keeps live and emulated results apart.
    """
    from dsnb import experiments

    if options.name is None:
        print(_table([(each.name, each.question) for each in experiments.experiments()]))
        return 0
    report = experiments.run(options.name, store=options.store, budget=options.budget)
    swept = report.sweeps[0]
    print(f"{report.experiment.question}\n{report.finding}\n{swept!r}")
    if options.csv:
        report.frame().to_csv(options.csv, index=False)
        print(f"All calls are now in {options.csv}.")
    if options.picture:
        report.plot().savefig(options.picture, dpi=200)
        print(f"The picture is now in {options.picture}.")
    return 0 if swept.done == len(swept) else 1


def doctor(_options: argparse.Namespace) -> int:
    """Look at versions, key, endpoint, balance and emulator."""
    from dsnb.doctor import examine

    well = True
    for check in examine():
        print(check, flush=True)
        well = well and check.ok is not False
    return 0 if well else 1


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dsnb", description="A Jupyter kit for research on the DeepSeek API.")
    parser.add_argument("--version", action="version", version=f"dsnb {dsnb.__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("emulate", help="serve the API on this machine", description=emulate.__doc__)
    command.add_argument("--as-of", metavar="DATE", help="the date whose contract is served (default: the present one)")
    command.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: any free one)")
    command.add_argument(
        "--engine",
        default="script",
        help="what answers: script (default), echo, llama (a small real model), llama:MODEL.gguf, or the base URL "
        "of an OpenAI-compatible server such as http://127.0.0.1:8000/v1 (#MODEL behind it names one of several)",
    )
    command.add_argument("--seed", type=int, default=0, help="changes what is answered and which faults are drawn")
    command.add_argument(
        "--pace", type=float, default=1.0, help="real seconds per emulated second (default 1; 0: at once)"
    )
    command.add_argument(
        "--faults",
        nargs="*",
        metavar="FAULT",
        help='one for each request in turn, such as 503 429 "cut@20" ok; or rates, such as 503:0.1 cut:0.05; '
        "type others while it runs",
    )
    command.set_defaults(command=emulate)

    command = commands.add_parser("models", help="list models, limits and prices", description=models.__doc__)
    command.add_argument("--as-of", metavar="DATE", help="the date to look at (default: now)")
    command.set_defaults(command=models)

    command = commands.add_parser("lab", help="open JupyterLab on the notebooks", description=lab.__doc__)
    command.add_argument("folder", nargs="?", type=Path, help="where copies of the notebooks are to be")
    command.add_argument("jupyter", nargs="*", metavar="-- OPTION", help="JupyterLab's own options, after --")
    command.set_defaults(command=lab)

    command = commands.add_parser("usage", help="print what calls took and cost", description=usage.__doc__)
    command.add_argument("ledger", nargs="?", type=Path, help="the ledger's file (default: where live calls are kept)")
    command.add_argument("--by", nargs="+", default=["model"], metavar="LABEL", help="run, notebook, model, day, ...")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write every row to a file instead")
    command.add_argument("--rows", choices=("turns", "attempts"), default="turns", help="the rows of that file")
    command.set_defaults(command=usage)

    command = commands.add_parser(
        "experiment", help="run an experiment on the context cache", description=experiment.__doc__
    )
    command.add_argument("name", nargs="?", help="which one (default: list them)")
    command.add_argument("--store", metavar="NAME", help="where results are kept: a name in the data folder, or a path")
    command.add_argument("--budget", metavar="AMOUNT", help="what it may spend, such as 0.50 or '3 CNY'")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write every call to a file")
    command.add_argument("--picture", type=Path, metavar="FILE", help="write the picture (png, svg, pdf)")
    command.set_defaults(command=experiment)

    command = commands.add_parser("doctor", help="check the set-up", description=doctor.__doc__)
    command.set_defaults(command=doctor)
    return parser


if __name__ == "__main__":
    sys.exit(main())
