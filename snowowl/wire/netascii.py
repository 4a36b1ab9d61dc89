r"""netascii: the line ends of the wire (RFC 1350 section 1, RFC 764).

On the wire a line ends in CR LF and a bare CR is CR NUL; in a file a line ends in LF.  Encoding
works octet by octet and so needs no state; decoding must remember a CR at the end of a piece.
"""

from __future__ import annotations


def encode(octets: bytes) -> bytes:
    """Return octets of a file as they are sent.  Pieces may be encoded one by one."""
    return octets.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


def encoded_size(octets: bytes) -> int:
    """Return how many octets `encode` makes of these, without making them."""
    return len(octets) + octets.count(b"\r") + octets.count(b"\n")


class Decoder:
    """Turns received octets into those of the file, piece by piece.

    A CR followed by anything but LF or NUL is kept as it is: the RFCs forbid it, clients send it.
    """

    def __init__(self) -> None:
        self._carry = b""

    def decode(self, octets: bytes) -> bytes:
        """Return the octets of the file that this piece completes."""
        octets = self._carry + octets
        self._carry = b""
        if octets.endswith(b"\r"):
            octets, self._carry = octets[:-1], b"\r"
        # Each CR is looked at once, with the octet that follows it.
        pieces = octets.split(b"\r")
        for index in range(1, len(pieces)):
            piece = pieces[index]
            if piece.startswith(b"\0"):
                pieces[index] = b"\r" + piece[1:]
            elif not piece.startswith(b"\n"):
                pieces[index] = b"\r" + piece
        return b"".join(pieces)

    def finish(self) -> bytes:
        """Return what is left at the end of the file: a last CR, if there was one."""
        carry, self._carry = self._carry, b""
        return carry
