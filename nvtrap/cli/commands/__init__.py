"""The sub-commands, a module each: `EXAMPLES`, `add_arguments(parser)`, `run(arguments)`."""
