"""The paper: its values, tables and figures from the records, its build, and the checks that it has to pass."""
