"""One module per group of commands; `pyrunner.cli.main` lists them."""
