"""Both protocols, sans-I/O: bytes in, values out. Standard library only.

One header decoder (`frames.decode_header`) serves the strict endpoint (`connection`) and the lenient timeline alike.
"""
