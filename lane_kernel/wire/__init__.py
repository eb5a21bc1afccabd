"""Both protocols, sans-I/O: bytes in, values out. Standard library only.

| module                           | what it knows                                                          |
| -------------------------------- | ---------------------------------------------------------------------- |
| `spans`, `rules`                 | where a value stands; what a specification asks                        |
| `utf8`, `frames`                 | text in pieces; the frame, its header, its fields, its own faults      |
| `deflate`, `messages`            | permessage-deflate; what frames add up to                              |
| `policy`, `writer`, `connection` | one end's politeness, its frames on their way out, its state machine   |
| `http1`, `heads`                 | heads and chunked bodies; what is wrong with a head                    |
| `handshake`, `endpoint`          | the upgrade; one end from its first byte to its last                   |
| `eventstream` and its modules    | parser and encoder; lines, fields, steps and findings of event streams |

One header decoder (`frames.decode_header`) serves the strict endpoint (`connection`) and the lenient timeline alike.
"""
