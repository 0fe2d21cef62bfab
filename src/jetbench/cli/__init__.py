"""The command `jetbench`: options, messages, and what each command calls. Importing its modules loads no framework."""
