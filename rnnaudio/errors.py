"""The one exception a user is meant to see."""


class RnnaudioError(Exception):
    """Something the user can mend: bad input, a missing extra, a full disk.

    The message says in one line what was got, what was expected and what to do. The command line prints it
    without a traceback and exits with status 2; library users may catch it.
    """
