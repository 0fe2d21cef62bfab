"""From records to tables and figures. It reads files only: neither torch nor jax is imported, nothing is measured."""
