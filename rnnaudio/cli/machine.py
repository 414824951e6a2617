"""Commands that report on this machine and set up the shell."""

from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rnnaudio.cli.app import command

GROUP = "This machine"


@command("info", GROUP)
def info() -> None:
    """Show engine, mode, BLAS, threads, speed and included models.

    Also prints advice on making the engine faster, and the names of the trained models that come with rnnaudio.

    Example: rnnaudio info
    """
    from rnnaudio.cli.engine_report import report
    from rnnaudio.models import MODELS

    print(report())
    for name, about in MODELS.items():
        print(f"model      {name}: {about} (rnnaudio generate {name} out.wav)")


@command("completion", GROUP)
def completion(shell: Annotated[Positional[Literal["bash", "zsh"]], arg(metavar="SHELL")]) -> None:
    """Print a script for shell completion.

    Example: rnnaudio completion bash > ~/.local/share/bash-completion/completions/rnnaudio

    Args:
        shell: bash or zsh.
    """
    from rnnaudio.cli.app import read

    try:
        read(["--tyro-print-completion", shell])
    except SystemExit as end:
        if end.code:
            raise
