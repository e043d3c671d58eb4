"""What bounds the memory of a map over ranks.

A rank holds at most `IN_FLIGHT` grants or `FLIGHT_BYTES` that rank 0 has not received.  Rank 0
receives only the next item in order, or up to `HELD_BYTES`; a worker's larger results stay where
they are until then.
"""

#: Grants a rank may hold whose results rank 0 has not received.
IN_FLIGHT = 8

#: Bytes of results that rank 0 keeps before their turn.
HELD_BYTES = 32 << 20

#: Bytes of one worker's results that rank 0 has not received, beyond two items.
FLIGHT_BYTES = 32 << 20

#: Results up to this size travel inside the message that announces them.
INLINE_BYTES = 32 << 10

#: A worker announces results at least when they add up to this; smaller ones are copied together.
GROUP_BYTES = 1 << 20
