"""`python -m muleteer` is `muleteer`."""

from muleteer.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
