"""`python -m ser` is the command `ser`."""

from ser.cli import main

if __name__ == "__main__":
    main()
