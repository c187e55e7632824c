"""The import itself: one row's way (`row`), its face into the group (`adding`), many rows at once (`shard`)."""
