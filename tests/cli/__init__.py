"""The command line, against the emulator as the real service."""
