"""Property-based fuzzing of any TFTP server: what `snowowl fuzz` does, as a library.

    script      what is sent: a few steps of a few peers              text of it: `replay`
    player      plays a script over `Probe`s, and keeps a trace
    rules       what a trace says against a server                    leaks: `leaks`
    target      the server: asked whether it is well, started, ended  its processes: `owned`
    trial       one script against one server, judged by every oracle
    generate    scripts for Hypothesis                                needs hypothesis
    search      lets Hypothesis look for a script that fails          needs hypothesis
    reduce      makes a failing script smaller without Hypothesis
    hunt        all of it together, until time is up

Nothing here knows any server.  Only `generate` and `search` import hypothesis, so that what was
found can be played again without it.
"""
