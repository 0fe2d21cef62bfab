"""`python -m jetbench` and the command `jetbench`: the command line, interruptible from the first moment."""

import sys

from jetbench.cli.encoding import make_writable
from jetbench.errors import Interrupted, MissingExtra, needing
from jetbench.signals import interruptible

STOPPED = "Stopped. Run the same command again to go on; what was measured is kept."


def main() -> None:
    """Run the command line. SIGINT and SIGTERM end it in one line, also while it is being loaded."""
    make_writable()
    try:
        with interruptible(lambda: STOPPED), needing("bench", "The command jetbench"):
            from jetbench.cli.main import app

            app(prog_name="jetbench")
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except MissingExtra as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
