"""Completion for bash, zsh and fish: scripts that know the commands, and start no program.

Every word in them comes from the commands' own definitions.  Files and folders are the shell's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from snowowl.cli.manual.tree import Command, Parameter

_WRITTEN = "# Written by python -m snowowl.cli.manual: change the commands, not this."


def _leaves(command: Command) -> Iterator[Command]:
    """Yield a command and those beneath it, in depth."""
    yield command
    for inner in command.commands:
        yield from _leaves(inner)


def _valued(command: Command) -> list[Parameter]:
    return [option for option in command.options if option.placeholder]


def bash(program: Command) -> str:
    """Return the script for bash; it needs no bash-completion."""
    return "\n".join(_bash_lines(program)) + "\n"


def _bash_lines(program: Command) -> Iterator[str]:
    yield from (_WRITTEN, "", "_snowowl() {")
    yield '    local cur="${COMP_WORDS[COMP_CWORD]}" path="snowowl" at=1 word'
    yield "    COMPREPLY=()"
    yield "    # The command that the cursor is in, past options and their values."
    yield "    while ((at < COMP_CWORD)); do"
    yield '        word="${COMP_WORDS[at]}"'
    yield '        case "$path $word" in'
    for command in _leaves(program):
        for inner in command.commands:
            yield f'            "{" ".join(inner.words)}") path="{" ".join(inner.words)}" ;;'
    yield "        esac"
    yield "        ((at++))"
    yield "    done"
    yield '    local previous="${COMP_WORDS[COMP_CWORD - 1]}"'
    yield "    # --option=value comes in three words."
    yield '    [[ $cur == "=" ]] && cur=""'
    yield '    [[ $previous == "=" ]] && previous="${COMP_WORDS[COMP_CWORD - 2]}"'
    yield '    case "$path $previous" in'
    for command in _leaves(program):
        for option in _valued(command):
            patterns = "|".join(f'"{" ".join(command.words)} {name}"' for name in option.names)
            yield f"        {patterns}) {_bash_value(option)} return ;;"
    yield "    esac"
    yield '    case "$path" in'
    for command in _leaves(program):
        yield f'        "{" ".join(command.words)}")'
        names = " ".join(name for option in command.options for name in option.names)
        yield f'            [[ $cur == -* ]] && COMPREPLY=($(compgen -W "{names}" -- "$cur")) && return'
        yield f"            {_bash_argument(command)} ;;"
    yield "    esac"
    yield "}"
    yield ""
    yield "complete -F _snowowl snowowl"


def _bash_value(parameter: Parameter) -> str:
    if parameter.choices:
        return f'COMPREPLY=($(compgen -W "{" ".join(parameter.choices)}" -- "$cur"));'
    if parameter.completes == "dir":
        return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur");'
    if parameter.completes == "file":
        return 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur");'
    return ":;"


def _bash_argument(command: Command) -> str:
    if command.commands:
        names = " ".join(inner.name for inner in command.commands)
        return f'COMPREPLY=($(compgen -W "{names}" -- "$cur"))'
    for argument in command.arguments:
        if argument.choices or argument.completes:
            return _bash_value(argument).rstrip(";")
    return ":"


def zsh(program: Command) -> str:
    """Return the script for zsh: autoloaded from fpath, or evaluated."""
    return "\n".join(_zsh_lines(program)) + "\n"


def _zsh_lines(program: Command) -> Iterator[str]:
    yield from ("#compdef snowowl", _WRITTEN, "")
    for command in _leaves(program):
        yield f"{_function(command)}() {{"
        yield "    local context state line curcontext=$curcontext"
        yield "    typeset -A opt_args"
        specs = [_zsh_option(option) for option in command.options]
        if command.commands:
            specs += ["'1: :->command'", "'*:: :->rest'"]
        else:
            specs += [_zsh_argument(argument) for argument in command.arguments]
        yield "    _arguments -C -s \\"
        yield from (f"        {spec} \\" for spec in specs[:-1])
        yield f"        {specs[-1]}"
        if command.commands:
            yield from _zsh_commands(command)
        yield from ("}", "")
    yield "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then"
    yield '    _snowowl "$@"'
    yield "else"
    yield "    compdef _snowowl snowowl"
    yield "fi"


def _zsh_commands(command: Command) -> Iterator[str]:
    yield "    case $state in"
    yield "        command)"
    yield "            local -a commands=("
    for inner in command.commands:
        yield f"                {_single(f'{inner.name}:{inner.summary}')}"
    yield "            )"
    yield "            _describe command commands ;;"
    yield "        rest)"
    yield "            case $line[1] in"
    for inner in command.commands:
        yield f"                {inner.name}) {_function(inner)} ;;"
    yield "            esac ;;"
    yield "    esac"


def _function(command: Command) -> str:
    return "_" + "_".join(command.words)


def _single(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_plain(text: str) -> str:
    """Escape what means something in a specification of _arguments."""
    return "".join(f"\\{c}" if c in "[]:\\" else c for c in text)


def _zsh_option(option: Parameter) -> str:
    names = option.names
    several = f"({' '.join(names)})" if len(names) > 1 and not option.repeated else ""
    star = "*" if option.repeated else ""
    form = f"{{{','.join(names)}}}" if len(names) > 1 else names[0]
    rest = f"[{_zsh_plain(_short(option.help))}]" + _zsh_action(option)
    head = _single(f"{star}{several}") if star or several else ""
    return f"{head}{form}{_single(rest)}"


def _zsh_action(parameter: Parameter) -> str:
    if not parameter.placeholder:
        return ""
    name = _zsh_plain(parameter.placeholder)
    if parameter.choices:
        return f":{name}:({' '.join(parameter.choices)})"
    action = {"file": "_files", "dir": "_files -/"}.get(parameter.completes, " ")
    return f":{name}:{action}"


def _zsh_argument(argument: Parameter) -> str:
    optional = "" if argument.required else ":"
    return _single(f":{optional}{_zsh_action(argument).removeprefix(':')}")


def _short(text: str) -> str:
    """Return the first sentence of a help text."""
    return text.split("  [", maxsplit=1)[0].split(". ", maxsplit=1)[0].rstrip(".")


def fish(program: Command) -> str:
    """Return the script for fish."""
    return "\n".join(_fish_lines(program)) + "\n"


def _fish_lines(program: Command) -> Iterator[str]:
    yield from (_WRITTEN, "", "complete -c snowowl -f")
    for command in _leaves(program):
        when = _fish_condition(command)
        for inner in command.commands:
            yield f"complete -c snowowl {when} -a {inner.name} -d {_fish(inner.summary)}"
        for option in command.options:
            yield f"complete -c snowowl {when} {_fish_option(option)}"
        for argument in command.arguments:
            if argument.choices:
                yield f"complete -c snowowl {when} -a {_fish(' '.join(argument.choices))}"
            elif argument.completes:
                yield f"complete -c snowowl {when} {_fish_files(argument)}"


def _fish_condition(command: Command) -> str:
    """Return when a command's own words are to be offered."""
    parts = [f"__fish_seen_subcommand_from {word}" for word in command.words[1:]]
    if command.commands:
        inner = " ".join(each.name for each in command.commands)
        parts.append(f"not __fish_seen_subcommand_from {inner}")
    return f"-n {_fish('; and '.join(parts))}"


def _fish_option(option: Parameter) -> str:
    names = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    ]
    value = ""
    if option.choices:
        value = f" -x -a {_fish(' '.join(option.choices))}"
    elif option.placeholder:
        value = f" -r {_fish_files(option)}".rstrip() if option.completes else " -x"
    return f"{' '.join(names)}{value} -d {_fish(_short(option.help))}"


def _fish_files(parameter: Parameter) -> str:
    return "-F" if parameter.completes == "file" else "-x -a '(__fish_complete_directories)'"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[Command], str]] = {"bash": bash, "fish": fish, "zsh": zsh}
