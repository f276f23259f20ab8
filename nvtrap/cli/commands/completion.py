"""`nvtrap completion`: scripts for shells, made from the parsers themselves."""

from __future__ import annotations

from importlib import import_module

from nvtrap.cli.arguments import Parser
from nvtrap.cli.main import COMMANDS, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action, Namespace

EXAMPLES = """\
  source <(nvtrap completion bash)
  nvtrap completion zsh > ~/.zfunc/_nvtrap.zsh   # and source it
  nvtrap completion fish > ~/.config/fish/completions/nvtrap.fish"""

# Commands whose first argument is a register's name.
NAMED = ("query", "registers")


def add_arguments(parser: Parser) -> None:
    """Add what `completion` takes."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(arguments: Namespace) -> int:
    """Print the script."""
    print(_fish() if arguments.shell == "fish" else _bash(zsh=arguments.shell == "zsh"))
    return 0


def _options() -> dict[str, list[tuple[str, Action]]]:
    """The long options of each command."""
    found = {}
    for name, about in COMMANDS.items():
        module = import_module(module_of(name))
        parser = Parser(name, about, "")
        module.add_arguments(parser)
        found[name] = [
            (option, action)
            for action in parser._actions
            for option in action.option_strings
            if option.startswith("--")
        ]
    return found


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
  case "$command:$current" in
    *:-*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
    {"|".join(f"{name}:*" for name in NAMED)})
      COMPREPLY=($(compgen -W "$(nvtrap registers --names 2>/dev/null)" -- "$current")) ;;
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
    lines.append(
        "complete -c nvtrap -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'"
    )
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
