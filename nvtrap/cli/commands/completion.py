"""`nvtrap completion`: scripts for shells, made from the parsers themselves."""

from __future__ import annotations

from argparse import _SubParsersAction
from importlib import import_module

from nvtrap.cli.arguments import Parser
from nvtrap.cli.main import COMMANDS, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action, Namespace
    from collections.abc import Iterator

EXAMPLES = """\
  source <(nvtrap completion bash)
  nvtrap completion zsh > ~/.zfunc/_nvtrap.zsh   # and source it
  nvtrap completion fish > ~/.config/fish/completions/nvtrap.fish"""

# Commands whose first argument is a register's name.
NAMED = ("query", "registers")
# Sub-commands whose arguments are registers of the GIC.
GIC_NAMED = ("decode", "encode")


def add_arguments(parser: Parser) -> None:
    """Add what `completion` takes."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: Namespace) -> int:
    """Print the script."""
    print(_fish() if arguments.shell == "fish" else _bash(zsh=arguments.shell == "zsh"))
    return 0


def _parser(command: str) -> Parser:
    parser = Parser(command, COMMANDS[command], "")
    import_module(module_of(command)).add_arguments(parser)
    return parser


def _actions(parser: Parser) -> Iterator[Action]:
    """What a command and its sub-commands take."""
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for inner in action.choices.values():
                inner.prepare()
                yield from _actions(inner)
        else:
            yield action


def _options() -> dict[str, list[tuple[str, Action]]]:
    """The long options of each command, each once."""
    found = {}
    for name in COMMANDS:
        options = {
            option: action
            for action in _actions(_parser(name))
            for option in action.option_strings
            if option.startswith("--")
        }
        found[name] = list(options.items())
    return found


def _subcommands() -> dict[str, list[str]]:
    """The sub-commands of the commands that have some."""
    return {
        name: list(action.choices)
        for name in COMMANDS
        for action in _parser(name)._actions
        if isinstance(action, _SubParsersAction)
    }


def _choices(action: Action) -> str:
    """The values an option or argument takes, where there are few."""
    return " ".join(map(str, action.choices or ()))


def _values() -> str:
    """The cases of a shell script that complete what stands behind an option."""
    takes = {
        option: _choices(action)
        for options in _options().values()
        for option, action in options
        if action.nargs != 0 and option != "--table"
    }
    words = [
        f'    {option}) COMPREPLY=($(compgen -W "{choices}" -- "$current")); return ;;\n'
        for option, choices in takes.items()
        if choices
    ]
    free = "|".join(option for option, choices in takes.items() if not choices)
    return "".join(words) + f'    {free}) COMPREPLY=($(compgen -f -- "$current")); return ;;'


def _bash(*, zsh: bool) -> str:
    cases = "\n".join(
        f'    {name}) words="{" ".join(option for option, _ in options)}" ;;'
        for name, options in _options().items()
    )
    inner = "\n".join(
        f'    {name}:2:*) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$current")) ;;'
        for name, words in _subcommands().items()
    )
    start = "autoload -U +X bashcompinit && bashcompinit\n" if zsh else ""
    return f"""{start}_nvtrap() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" command="${{COMP_WORDS[1]}}" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(COMMANDS)}" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[COMP_CWORD-1]}}" in
    --table)
      COMPREPLY=($(compgen -f -W "$(nvtrap tables --names 2>/dev/null)" -- "$current")); return ;;
{_values()}
  esac
  case "$command" in
{cases}
  esac
  case "$command:$COMP_CWORD:$current" in
    *:-*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    {"|".join(f"{name}:*" for name in NAMED)})
      COMPREPLY=($(compgen -W "$(nvtrap registers --names 2>/dev/null)" -- "$current")) ;;
{inner}
    gic:*) case "${{COMP_WORDS[2]}}" in
      {"|".join(GIC_NAMED)})
        COMPREPLY=($(compgen -W "$(nvtrap gic decode --names 2>/dev/null)" -- "$current")) ;;
      *) COMPREPLY=($(compgen -f -- "$current")) ;;
      esac ;;
    completion:*) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")) ;;
    *) COMPREPLY=($(compgen -f -- "$current")) ;;
  esac
}}
complete -o filenames -F _nvtrap nvtrap"""


def _fish() -> str:
    lines = ["complete -c nvtrap -n __fish_use_subcommand -f"]
    for name, about in COMMANDS.items():
        lines.append(f"complete -c nvtrap -n __fish_use_subcommand -a {name} -d {_quoted(about)}")
    for name, options in _options().items():
        inside = f"'__fish_seen_subcommand_from {name}'"
        for option, action in options:
            about = _quoted((action.help or "").partition(" (")[0])
            known = "(nvtrap tables --names)" if option == "--table" else _choices(action)
            values = "" if action.nargs == 0 else f" -r -a {_quoted(known)}" if known else " -r"
            lines.append(f"complete -c nvtrap -n {inside} -l {option[2:]} -d {about}{values}")
        if name in NAMED:
            lines.append(f"complete -c nvtrap -n {inside} -f -a '(nvtrap registers --names)'")
    for name, words in _subcommands().items():
        inside = f"'__fish_seen_subcommand_from {name}'"
        lines.append(f"complete -c nvtrap -n {inside} -f -a {_quoted(' '.join(words))}")
    inside = f"'__fish_seen_subcommand_from {' '.join(GIC_NAMED)}'"
    lines.append(f"complete -c nvtrap -n {inside} -f -a '(nvtrap gic decode --names)'")
    lines.append(
        "complete -c nvtrap -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'"
    )
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
