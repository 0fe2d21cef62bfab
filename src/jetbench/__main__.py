"""`python -m jetbench` is the command `jetbench`."""

from jetbench.cli import app

app(prog_name="jetbench")
