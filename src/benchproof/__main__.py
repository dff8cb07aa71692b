"""`python -m benchproof` is the console script `benchproof`."""

from benchproof.cli import main

if __name__ == "__main__":
    main()
