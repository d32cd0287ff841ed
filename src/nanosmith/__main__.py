"""`python -m nanosmith`."""

from nanosmith.cli.main import main

if __name__ == "__main__":
    main()
