"""What bounds the memory of a map over ranks.

A rank holds at most `IN_FLIGHT` grants or `FLIGHT_BYTES` that rank 0 has not received.  Rank 0
receives only the next item in order, or up to `HELD_BYTES`; a worker's larger results stay where
they are until then.  Small results come along unasked: so no item is granted that is `HELD_ITEMS`
behind the next one in order.
"""

#: Grants a rank may hold whose results rank 0 has not received.
IN_FLIGHT = 8

#: Bytes of results that rank 0 keeps before their turn.
HELD_BYTES = 32 << 20

#: Items that may be granted, or finished and wait for their turn; each takes rank 0 about 1 kB.
HELD_ITEMS = 1 << 15

#: Bytes of one worker's results that rank 0 has not received, beyond two items.
FLIGHT_BYTES = 32 << 20

#: Results up to this size travel inside the message that announces them.
INLINE_BYTES = 32 << 10

#: A worker announces results at least when they add up to this; smaller ones are copied together.
GROUP_BYTES = 1 << 20

#: Workers that are looked at in a turn of listening though they have said nothing new.  A turn must
#: not cost more with more ranks, and what a worker may hold follows the measured times slowly.
LOOKS = 16
