"""The drawing of a network, as SVG."""
