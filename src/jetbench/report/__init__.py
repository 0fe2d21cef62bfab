"""From records to tables and figures. Reads files only: neither torch nor jax is imported here, and nothing is measured."""
