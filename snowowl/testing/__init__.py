"""Tools to test TFTP with: shipped, for the tests of programs that embed snowowl as for its own."""
