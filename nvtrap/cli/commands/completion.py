"""`nvtrap completion`: scripts for shells, made from the parsers themselves."""

from __future__ import annotations

from importlib import import_module

from nvtrap.cli.arguments import Parser
from nvtrap.cli.main import COMMANDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

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


def _options() -> dict[str, list[tuple[str, str]]]:
    """The options of each command with their help."""
    found = {}
    for name, about in COMMANDS.items():
        module = import_module(f"nvtrap.cli.commands.{name}")
        parser = Parser(name, about, "")
        module.add_arguments(parser)
        found[name] = [
            (option, (action.help or "").partition(" (")[0])
            for action in parser._actions
            for option in action.option_strings
            if option.startswith("--")
        ]
    return found


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
  if [ "${{COMP_WORDS[COMP_CWORD-1]}}" = --table ]; then
    COMPREPLY=($(compgen -W "$(nvtrap tables --names 2>/dev/null)" -- "$current"))
    return
  fi
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
        for option, about in options:
            values = " -x -a '(nvtrap tables --names)'" if option == "--table" else ""
            lines.append(
                f"complete -c nvtrap -n {inside} -l {option[2:]} -d {_quoted(about)}{values}"
            )
        if name in NAMED:
            lines.append(f"complete -c nvtrap -n {inside} -f -a '(nvtrap registers --names)'")
    lines.append(
        "complete -c nvtrap -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'"
    )
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
