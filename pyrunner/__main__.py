"""``python -m pyrunner``: the command line, wherever the scripts are installed."""

from pyrunner.cli.main import main

if __name__ == "__main__":
    main()
