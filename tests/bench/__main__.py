"""Run every benchmark of this folder, or those named: `python -m tests.bench streaming`."""

import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    here = Path(__file__).parent
    known = sorted(path.stem for path in here.glob("*.py") if not path.stem.startswith("_"))
    for name in sys.argv[1:] or known:
        module = import_module(f"tests.bench.{name}")
        if not sys.argv[1:] and (why := getattr(module, "ALONE", "")):
            print(f"\n{name}: {why}, and so runs by its name only")
            continue
        print(f"\n{name}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
        module.main()


if __name__ == "__main__":
    main()
