"""``python -m mirada``."""

from mirada.cli import main

if __name__ == "__main__":
    main()
