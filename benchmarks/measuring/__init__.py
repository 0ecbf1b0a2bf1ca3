"""What every race needs: turns, tables, the programs that are compared, a running server."""
