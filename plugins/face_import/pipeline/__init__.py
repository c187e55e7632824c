"""The import itself: one row's way (`row`), many rows at once (`shard`), and waiting out an outage (`outage`)."""
