"""``python -m glyph_integrations``: the `glyph` command."""

from .cli import main

if __name__ == "__main__":
    main()
