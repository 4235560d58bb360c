"""`python -m anew`, also under torchrun."""

from anew.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
