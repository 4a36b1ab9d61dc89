"""Man pages and shell completions, made from the commands and the model of the configuration.

They are kept in `snowowl/cli/share` and installed by the wheel; ``python -m snowowl.cli.manual``
writes them anew, and a test compares.  Nothing here depends on click's own layout of help, which
differs from version to version.
"""
