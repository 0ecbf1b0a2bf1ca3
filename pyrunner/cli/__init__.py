"""The command line: a client of the server, or of the store when no server runs.

Nothing heavy is imported at module level here: ``pyrunner --help`` answers at once. Commands
load when they are called, and each imports rich, prompt_toolkit, the store or the server itself.
Only the main thread runs this code, except for the two watchers that README's thread list names.
"""
