"""Entry point of ``python -m rnnaudio``, for systems where the script ``rnnaudio`` is not on the path."""

from rnnaudio.cli import main

if __name__ == "__main__":
    main()
