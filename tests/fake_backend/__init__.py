"""A backend without a framework, for tests of the measuring process: its methods behave well or badly by their name."""
